"""Hours by the roofline of a device, until jobs on that device say better."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.costs import Load, group_cost, group_loads
from orchestrator.planning.devices import ATTAINED, CPU_CORE, DEVICES, Device, device_named
from orchestrator.planning.measurements import measured_jobs, pricing
from orchestrator.planning.plan import expand
from orchestrator.planning.prices import Roofline
from orchestrator.planning.simulation import lockstep_groups, longest_chain, shared_cost
from orchestrator.store.store import Store
from tests.orchestrator.commands import run
from tests.orchestrator.planning.test_scheduling import trials
from tests.orchestrator.planning.test_simulation import add_job
from trainer.problems import UserError

PAPER = Path(__file__).parents[3] / "sweeps" / "paper_cifar100.yaml"
H100 = DEVICES["h100"]
ROUND = Device("round", "a round one", "Round", 1.0, 10.0, 100.0, None, "test", launch_seconds=1e-5)


def load(**given: float) -> Load:
    none = dict.fromkeys(("multiply_adds", "activations", "weights", "launches"), 0.0)
    return Load(**none | given, precision="fp32")


def test_a_load_takes_as_long_as_what_it_has_most_of() -> None:
    price = Roofline(ROUND)
    arithmetic = {"multiply_adds": 5e12 * ATTAINED["fp32"]}
    assert price.seconds(load(**arithmetic)) == pytest.approx(1.0)
    assert price.seconds(load(activations=1e11, weights=1.5e11)) == pytest.approx(1.0)
    assert price.seconds(load(launches=1e5)) == pytest.approx(1.0)
    assert price.seconds(load(**arithmetic, activations=2e11, launches=1e4)) == pytest.approx(1.0)
    assert price.limit(load(**arithmetic, launches=99_000)) == "arithmetic"
    assert price.limit(load(**arithmetic, launches=101_000)) == "launches"
    assert price.limit(load(activations=1e11, launches=1e4)) == "memory"


@pytest.mark.parametrize(
    ("precision", "rate", "width"),
    [("fp32", 1, 4), ("tf32", 10 * ATTAINED["tf32"] / ATTAINED["fp32"], 4), ("bf16", 1, 2)],
)
def test_the_precision_chooses_rate_and_width(precision: str, rate: float, width: int) -> None:
    """Where the hardware has no bf16, it is no faster than fp32."""
    price = Roofline(ROUND)
    computed = Load(5e12 * ATTAINED["fp32"], 0.0, 0.0, 0.0, precision)
    assert price.seconds(computed) == pytest.approx(1 / rate)
    assert price.seconds(Load(0.0, 1e12, 0.0, 0.0, precision)) == pytest.approx(width)


@pytest.mark.parametrize("device", DEVICES.values(), ids=lambda device: device.name)
def test_devices_are_what_they_may_be(device: Device) -> None:
    tf32, bf16 = device.tflops("tf32"), device.tflops("bf16")
    assert 0.1 < device.bandwidth < 10
    assert 1 < device.tflops("fp32") <= tf32 <= bf16
    assert (device.tf32 is None) == (device.bf16 is None)
    if device.tf32 is not None:
        assert device.bf16 == pytest.approx(2 * device.tf32, rel=0.01)
    assert device.source.startswith("NVIDIA")


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-40GB", "a100"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("Tesla T4", "t4"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA GeForce RTX 3090", "rtx3090"),
        ("NVIDIA GeForce RTX 3090 Ti", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA A10", None),
        ("NVIDIA A10G", None),
        ("NVIDIA L40S", None),
        ("cpu", None),
    ],
)
def test_rows_are_of_the_device_that_they_name(told: str, name: str | None) -> None:
    assert [d.name for d in DEVICES.values() if d.is_called(told)] == ([name] if name else [])
    assert CPU_CORE.is_called(told) == (told == "cpu")


amounts = st.floats(0, 1e15)
factors = st.floats(1, 100)


@given(
    amounts, amounts, amounts, factors, factors, factors, st.sampled_from(["fp32", "tf32", "bf16"])
)
def test_a_faster_device_never_takes_longer(
    operations: float,
    moved: float,
    launches: float,
    rate: float,
    bandwidth: float,
    host: float,
    how: str,
) -> None:
    faster = Device(
        "faster",
        "faster",
        "Faster",
        bandwidth,
        10.0 * rate,
        100.0 * rate,
        None,
        "test",
        1e-5 / host,
    )
    asked = Load(operations, moved, moved, launches, how)
    assert Roofline(faster).seconds(asked) <= Roofline(ROUND).seconds(asked)


def test_the_papers_sweep_takes_longer_on_each_older_card() -> None:
    wanted = expand(load_sweep(PAPER))
    prices = [Roofline(DEVICES[name]).seconds for name in ("h200", "h100", "a100", "v100", "t4")]
    for cost in (shared_cost, longest_chain):
        hours = [cost(wanted, price) / 3600 for price in prices]
        assert all(newer <= older for newer, older in pairwise(hours))
    assert shared_cost(wanted, prices[1]) / 3600 == pytest.approx(80, rel=0.05)


def test_together_is_never_longer_than_alone() -> None:
    """A group shares the teacher's passes, whatever its time goes into."""
    for device in (*DEVICES.values(), CPU_CORE):
        price = Roofline(device).seconds
        for group in lockstep_groups(trials()):
            alone = sum(group_cost([trial], price) for trial in group)
            assert group_cost(group, price) <= alone * (1 + 1e-9)


def test_thin_networks_are_bound_by_launches_and_thick_ones_by_arithmetic() -> None:
    """In fp32 on a fast card: what a faster card, or tf32, would change nothing of."""
    price = Roofline(H100)
    for pair, limit in (("resnet56/resnet20", "launches"), ("vgg13/vgg8", "arithmetic")):
        students = [t for t in trials(pairs=[pair]) if t.kind == "student"]
        longest = max(group_loads(students), key=price.seconds)
        assert price.limit(longest) == limit


def test_measured_jobs_of_a_device_win(tmp_path: Path) -> None:
    """What ran costs what it took, whatever the roofline says; jobs of other devices change nothing."""
    store = Store(tmp_path)
    students = [t for t in trials() if t.kind == "student"]
    stddevs = [t for t in trials() if t.kind == "stddev"]
    assumed = pricing(measured_jobs(store), device=H100)
    assert assumed == Roofline(H100)
    assert assumed.source.startswith("assumed, not measured: NVIDIA H100 SXM by the NVIDIA H100")
    add_job(store, stddevs, "other", device="NVIDIA A100-SXM4-80GB")
    add_job(store, stddevs, "cpu")
    assert pricing(measured_jobs(store), device=H100) == assumed
    add_job(store, students, "own", device="NVIDIA H100 80GB HBM3")
    measured = pricing(measured_jobs(store), device=H100)
    assert group_cost(students, measured.seconds) == pytest.approx(10.0 * len(students))
    assert "measured on 9 trials of this store, on NVIDIA H100 80GB HBM3" in measured.source
    assert "assumed" not in measured.source


def test_the_plan_prices_by_a_named_device(tmp_path: Path) -> None:
    plan = ("plan", PAPER, "--store", tmp_path / "none", "--device")
    code, output = run(tmp_path, *plan, "H100", "--gpus", 8, "--json")
    assert code == 0, output
    bill = json.loads(output)["bill"]
    assert bill["throughput"]["source"] == Roofline(H100).source
    reached = bill["pflop"] / bill["gpu_hours"] / 3600 * 1000
    assert bill["throughput"]["tflops"] == pytest.approx(reached)
    assert bill["forecasts"][0]["hours"] >= bill["gpu_hours"] / 8
    pairs = {share["student"] for share in bill["shares"]}
    assert {"resnet20", None} <= pairs
    for share in bill["shares"]:
        assert sum(share["limits"].values()) == pytest.approx(1)
    page = tmp_path / "plan.html"
    code, output = run(tmp_path, *plan, "h100", "--html", page)
    assert "resnet56/resnet20" in output
    assert "assumed, not measured: NVIDIA H100 SXM" in page.read_text()


def test_a_device_that_is_none_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--device: unknown device 'h10'; did you mean 'h100'\?$"):
        device_named("h10")
    code, output = run(tmp_path, "plan", PAPER, "--device", "abacus")
    assert code == 2
    assert "unknown device 'abacus'; known are h200, h100, a100" in output
    code, output = run(tmp_path, "plan", PAPER, "--device", "h100", "--tflops", 3)
    assert code == 2
    assert "--device and --tflops both price a GPU" in output
