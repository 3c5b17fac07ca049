"""The planner on a virtual clock, the bill, and the groups that a run takes from it."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.language.resources import AllResources, Resources
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.costs import group_cost, solo_cost
from orchestrator.planning.devices import CPU_CORE
from orchestrator.planning.measurements import (
    ASSUMED_GPU,
    DeviceKind,
    measured_jobs,
    pricing,
)
from orchestrator.planning.plan import expand
from orchestrator.planning.prices import FLOPS, Roofline, Throughput
from orchestrator.planning.scheduling import Capacity, Scheduler
from orchestrator.planning.simulation import best_simulation, longest_chain, shared_cost
from orchestrator.store.records import identity_columns
from orchestrator.store.store import Store
from tests.orchestrator.commands import run
from tests.orchestrator.planning.test_scheduling import trials
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError
from trainer.trial import Trial, lockstep_key

SWEEPS = Path(__file__).parents[3] / "sweeps"
PAPERS = ("paper_cifar100", "paper_tinyimagenet")
ONE_GPU = AllResources(**dict.fromkeys(("teacher", "student", "stddev"), Resources(gpu=1)))


def on(gpus: int, wanted: list[Trial]) -> list[float]:
    simulated = best_simulation(wanted, (), Capacity(float("inf"), gpus), ONE_GPU)
    ran = [fp for group in simulated.groups for fp in group]
    assert sorted(ran) == sorted(trial.fingerprint for trial in wanted)
    assert 0 < simulated.busy <= 1 + 1e-9
    assert simulated.work >= shared_cost(wanted) * (1 - 1e-9)
    return [simulated.makespan, simulated.lower_bound, simulated.over_bound]


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize(("gpus", "over"), [(1, 0.0), (8, 0.085), (64, 0.05), (256, 0.05)])
def test_the_papers_sweeps_end_near_their_lower_bound(name: str, gpus: int, over: float) -> None:
    """On 8 GPUs the bound cannot be met: until the first teachers are trained, 5 of the 8 have work."""
    wanted = expand(load_sweep(SWEEPS / f"{name}.yaml"))
    assert on(gpus, wanted)[2] <= over + 1e-9


def test_the_lower_bound_is_a_chain_alone_or_all_work_shared() -> None:
    wanted = trials()
    teacher = next(t for t in wanted if t.kind == "teacher")
    picking = next(t for t in wanted if t.kind == "student" and t.augmentation == "cutmixpick_s")
    measured = next(t for t in wanted if t.kind == "stddev" and t.student)
    chain = sum(map(solo_cost, (teacher, picking, measured)))
    assert longest_chain(wanted) == pytest.approx(chain)
    assert on(100, wanted)[1] == pytest.approx(max(chain, shared_cost(wanted) / 100))
    assert on(1, wanted)[0] == pytest.approx(shared_cost(wanted))


@given(st.integers(1, 40), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_no_simulation_beats_the_bound(gpus: int, seeds: int) -> None:
    wanted = trials(seeds=list(range(seeds)), pairs=["resnet20/resnet8", "vgg8/resnet8"])
    makespan, bound, _ = on(gpus, wanted)
    assert makespan >= bound * (1 - 1e-9)


def test_a_run_takes_the_groups_of_the_simulation() -> None:
    wanted = trials(seeds=[0, 1], pairs=["resnet56/resnet8", "resnet56/resnet20"])
    capacity = Capacity(float("inf"), 4)
    simulated = best_simulation(wanted, (), capacity, ONE_GPU)
    part = {fp: number for number, group in enumerate(simulated.groups) for fp in group}
    queue = Scheduler(wanted, (), capacity, ONE_GPU, lambda trial: trial.seed * 0, part=part)
    while not queue.is_over:
        while job := queue.next_job():
            assert len({part[trial.fingerprint] for trial in job.trials}) == 1
            assert len({lockstep_key(trial) for trial in job.trials}) == 1
        first = queue.running[0]
        queue.end(first, {trial.fingerprint for trial in first.trials}, ())
    assert len(queue.finished) == len(wanted)


def add_job(store: Store, group: list[Trial], job_id: str, **columns: Any) -> None:
    """What a job leaves, of which each trial is stamped alone."""
    for second, trial in enumerate(group):
        row = identity_columns(trial) | {
            "cell": trial.cell,
            "trial": trial.model_dump_json(),
            "host": "here",
            "device": "cpu",
            "device_seconds": 10.0,
            "job_id": job_id,
            "num_attempts": 1,
            "group_size": len(group),
            "started_at": datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC),
        }
        store.add_result(row | columns, [])


def throughput_on(store: Store, kind: DeviceKind) -> Throughput:
    found = pricing(measured_jobs(store), kind)
    assert isinstance(found, Throughput)
    return found


def test_the_throughput_is_measured_job_by_job(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert measured_jobs(store) == []
    assert throughput_on(store, "GPU") == ASSUMED_GPU
    group = [t for t in trials() if t.kind == "student"]
    add_job(store, group, "one")
    measured = throughput_on(store, "CPU")
    expected = FLOPS * group_cost(group) / (10.0 * len(group)) / 1e12
    assert measured.tflops == pytest.approx(expected)
    assert measured.source == "measured on 9 trials of this store, on cpu"
    stddevs = [t for t in trials() if t.kind == "stddev"]
    add_job(store, stddevs[:3], "cut", group_size=4)
    add_job(store, stddevs[3:6], "twice", num_attempts=2)
    add_job(store, stddevs[6:], "")
    assert throughput_on(store, "CPU") == measured, "only whole jobs tell"
    assert throughput_on(store, "GPU") == ASSUMED_GPU


def test_devices_of_one_kind_price_that_kind_only(tmp_path: Path) -> None:
    """After a sweep on CPUs the paper costs on GPUs what it costs in an empty store."""
    store = Store(tmp_path / "store")
    plan = ("plan", SWEEPS / "paper_cifar100.yaml", "--gpus", 8, "--json", "--store")
    _, empty = run(tmp_path, *plan, tmp_path / "none")
    add_job(store, [t for t in trials() if t.kind == "student"], "cpus")
    assert throughput_on(store, "GPU") == ASSUMED_GPU
    _, told = run(tmp_path, *plan, store.root)
    assert json.loads(told)["bill"]["gpu_hours"] == json.loads(empty)["bill"]["gpu_hours"]
    add_job(store, [t for t in trials() if t.kind == "stddev"], "gpus", device="NVIDIA H100")
    assert throughput_on(store, "GPU").source == (
        "measured on 9 trials of this store, on NVIDIA H100"
    )
    assert throughput_on(store, "CPU").source.endswith("on cpu")


def test_a_machine_without_a_gpu_is_priced_by_its_cpus(tmp_path: Path) -> None:
    _, told = run(tmp_path, "plan", "smoke", "--json", "--store", tmp_path / "none")
    here = json.loads(told)["bill"]["on_cpus"]
    if Path("/dev/nvidiactl").exists():
        assert here is None
        return
    assert here["cpus"] == os.cpu_count()
    assert here["throughput"]["tflops"] <= CPU_CORE.tflops("fp32")
    assert here["throughput"]["source"] == Roofline(CPU_CORE).source
    assert 0 < here["hours"] < 0.1
    _, told = run(tmp_path, "plan", "smoke", "--store", tmp_path / "none")
    assert "here, without a GPU: " in told


def test_the_bill_and_the_forecast_for_scripts(tmp_path: Path) -> None:
    sweep = SWEEPS / "paper_cifar100.yaml"
    options = (
        "--store",
        tmp_path / "none",
        "--tflops",
        20,
        "--simulate",
        "--gpus",
        8,
        "--gpus",
        64,
    )
    code, output = run(tmp_path, "plan", sweep, *options, "--json")
    assert code == 0, output
    bill = json.loads(output)["bill"]
    assert bill["throughput"] == {"tflops": 20.0, "source": "as given"}
    assert bill["pflop"] == pytest.approx(2 * 2467.7, rel=1e-3)
    assert 0.5 < bill["saved"] < 0.52
    assert bill["gpu_hours"] == pytest.approx(bill["pflop"] / 0.02 / 3600, rel=1e-6)
    assert bill["shares"][0]["limits"] == {"arithmetic": 1.0}, "one figure knows no other limit"
    assert [found["gpus"] for found in bill["forecasts"]] == [8, 64]
    ran = [fp for job in bill["forecasts"][0]["jobs"] for fp in job["trials"]]
    assert sorted(ran) == sorted(trial["fingerprint"] for trial in json.loads(output)["trials"])
    assert bill["forecasts"][1]["hours"] < bill["forecasts"][0]["hours"]
    code, output = run(tmp_path, "plan", sweep, *options)
    assert "lockstep saves 51%" in output
    assert "lower bound h" in output


@pytest.mark.parametrize("name", PAPERS)
def test_first_correlations_come_after_the_work_of_one_seed(name: str) -> None:
    """On one GPU: nothing of the second seed starts before all of the first has ended."""
    wanted = expand(load_sweep(SWEEPS / f"{name}.yaml"))
    simulated = best_simulation(wanted, (), Capacity(float("inf"), 1), ONE_GPU)
    kinds = [(job, job.trials[0]) for job in simulated.jobs if job.trials[0].kind != "teacher"]
    for seed in (0, 1):
        end = max(job.end for job, first in kinds if first.seed == seed)
        assert end <= min(job.start for job, first in kinds if first.seed > seed)
        teachers = sum(j.end - j.start for j in simulated.jobs if j.trials[0].kind == "teacher")
        share = (end - teachers) / (simulated.makespan - teachers)
        assert share == pytest.approx((seed + 1) / 3, abs=0.01)


@pytest.mark.parametrize(
    ("capacity", "told"),
    [
        (Capacity(cpu=8, gpu=0.5), "a job takes 1 CPU and 1 GPU, and there are 8 CPU and 0.5 GPU"),
        (Capacity(cpu=0, gpu=4), "resources.teacher: a job takes 1 CPU"),
    ],
)
def test_a_run_in_which_no_job_fits_is_refused_in_one_line(capacity: Capacity, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        best_simulation(trials(), (), capacity, ONE_GPU)
    assert len(str(caught.value).splitlines()) == 1


def test_the_dependencies_for_graphviz(tmp_path: Path) -> None:
    code, output = run(tmp_path, "plan", SWEEPS / "smoke.yaml", "--dot")
    assert code == 0
    assert output.startswith("digraph sweep {")
    assert (
        '"teacher fashion_mini resnet8" -> "student fashion_mini resnet8 resnet8\\nseed 0";'
        in output
    )


def test_gpus_alone_simulate_and_a_sweep_without_gpus_can_be_simulated(tmp_path: Path) -> None:
    nothing = {"student": {"gpu": 0}, "stddev": {"gpu": 0}, "teacher": {"gpu": 0}}
    for sweep in (SWEEPS / "smoke.yaml", write_sweep(tmp_path, resources=nothing)):
        code, output = run(tmp_path, "plan", sweep, "--gpus", 2)
        assert code == 0, output
        assert "lower bound ms" in output
