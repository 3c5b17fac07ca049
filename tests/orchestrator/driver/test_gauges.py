"""What a run tells Prometheus: trials by state, its share, images per second."""

import re
import subprocess
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.driver.gauges import Gauges
from orchestrator.driver.meter import RunState
from orchestrator.driver.throughput import WINDOW_S, Throughput
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import make_plan
from orchestrator.store.signs import Running
from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, start
from tests.orchestrator.sweeps import write_sweep

looks = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.floats(0, 1e6)), min_size=2, max_size=40
)


@given(looks)
def test_a_rate_is_never_negative_and_never_more_than_what_moved(
    seen: list[dict[str, float]],
) -> None:
    throughput, moved = Throughput(), 0.0
    for second, images in enumerate(seen):
        before = seen[second - 1] if second else {}
        moved += sum(max(n - before[t], 0.0) for t, n in images.items() if t in before)
        rate = throughput.see(float(second), images)
        assert 0 <= rate <= moved + 1e-6


def test_a_steady_run_has_its_rate_and_a_resumed_one_no_leap() -> None:
    throughput = Throughput()
    rates = [throughput.see(float(s), {"a": 5000.0 + 128 * s}) for s in range(100)]
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(128)
    # It stands still: after the window nothing is left.
    for s in range(100, 102 + int(WINDOW_S)):
        rate = throughput.see(float(s), {"a": 5000.0 + 128 * 99})
    assert rate == 0.0


class Silent:
    def begin(self, plan: Any, logs: str) -> None: ...
    def note(self, text: str) -> None: ...
    def tick(self, state: RunState) -> None: ...
    def end(self, state: RunState) -> None: ...


def test_states_add_up_and_images_are_of_what_moves(tmp_path: Path) -> None:
    plan = make_plan(
        load_sweep(write_sweep(tmp_path)), Store(tmp_path / "store"), retry_failed=False
    )
    told: dict[tuple[str, ...], float] = {}

    def tell(name: str, value: float, labels: dict[str, str]) -> None:
        told[name, *labels.values()] = value

    now = iter(range(100))
    gauges = Gauges(Silent(), tell, clock=lambda: float(next(now)))
    gauges.begin(plan, logs="")
    done, group = plan.missing[:2], plan.missing[2:5]
    scheduler: Any = SimpleNamespace(
        running=[SimpleNamespace(trials=group, number=1)],
        finished={t.fingerprint for t in done},
        failed={plan.missing[-1].fingerprint},
    )

    def sign(step: int) -> Running:
        return Running(group[0].fingerprint, "me", "host", "cpu", 1, 2, step, 10, None)

    for step in (3, 5):
        gauges.tick(RunState(scheduler, {group[0].fingerprint: sign(step)}, {}))
    name = plan.sweep.name
    by_state = {s: told["kdsweep_trials", name, s] for s in ("finished", "failed", "running")}
    assert by_state == {"finished": 2, "failed": 1, "running": 3}
    assert told["kdsweep_trials", name, "waiting"] == len(plan.missing) - 6
    assert 0 < told["kdsweep_work_share", name] < 1
    assert told["kdsweep_images_per_second", name] == 2 * group[0].batch_size


@pytest.mark.slow
def test_a_run_is_scraped_where_it_says(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, student={"epochs": 200})
    store = ("--store", tmp_path / "s")
    process = start(tmp_path, "run", sweep, *store, "--cpus", 1, "--prometheus")
    try:
        states = _scraped_states(_told_address(process))
        assert states.keys() == {"finished", "failed", "running", "waiting"}
        assert sum(states.values()) == 7
    finally:
        process.terminate()
        code, _ = finish(process)
    assert code == 3


def _told_address(process: subprocess.Popen[str]) -> str:
    """Once it trains."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "epoch 1/" in line:
            break
    (address,) = re.findall(r"metrics: (http://127\.0\.0\.1:\d+/metrics)", seen)
    return str(address)


def _scraped_states(address: str) -> dict[str, float]:
    page, until = "", time.monotonic() + 60
    while "ray_kdsweep_images_per_second{" not in page and time.monotonic() < until:
        time.sleep(1)
        with urllib.request.urlopen(address, timeout=10) as answer:
            page = answer.read().decode()
    lines = re.findall(r"^ray_kdsweep_trials\{(.*)\} ([\d.]+)$", page, flags=re.MULTILINE)
    return {re.findall(r'state="(\w+)"', labels)[0]: float(count) for labels, count in lines}
