"""What a person sees on a terminal while a sweep runs."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from orchestrator.driver.meter import RunState
from orchestrator.driver.view import LiveView
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import make_plan
from orchestrator.store.store import Store
from tests.orchestrator.sweeps import write_sweep


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_broken_on_a_usual_terminal(width: int, tmp_path: Path) -> None:
    sweep = load_sweep(write_sweep(tmp_path))
    plan = make_plan(sweep, Store(tmp_path / "store"), retry_failed=False)
    done, group = plan.missing[:4], plan.missing[4:]
    job = SimpleNamespace(trials=group, number=1)
    scheduler: Any = SimpleNamespace(
        running=[job], finished={t.fingerprint for t in done}, failed={"one"}
    )
    screen = io.StringIO()
    view = LiveView(Console(file=screen, width=width, force_terminal=True, color_system=None))
    view.begin(plan, logs="/tmp/logs")
    view.end(RunState(scheduler, {}, {}))
    shown = screen.getvalue()
    *_, counts = (line for line in shown.splitlines() if "4/7 trials" in line)
    assert "1 failed" in counts
    assert "left" in counts
    assert any("seed 0" in line and "starting" in line for line in shown.splitlines())
