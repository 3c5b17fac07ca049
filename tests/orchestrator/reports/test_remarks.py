"""What a sweep says of itself is shown wherever the sweep is, as text, and changes no trial."""

import html
import json
from pathlib import Path

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.analysis.test_points import add
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep

NOTES = "why: <b>T. stddev</b> & loss\nsecond \x1b[31mline"
LINES = ("why: <b>T. stddev</b> & loss", "second \\x1b[31mline")


def test_notes_are_shown_as_text_and_change_no_trial(tmp_path: Path) -> None:
    trials = expand(load_sweep(write_sweep(tmp_path)))
    sweep_file = write_sweep(tmp_path, notes=NOTES)
    sweep = load_sweep(sweep_file)
    assert expand(sweep) == trials
    store = Store(tmp_path / "store")
    for trial in trials:
        add(store, trial)
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    where = (sweep_file, "--store", store.root)
    page, report = tmp_path / "plan.html", tmp_path / "report.html"
    for command in (("plan", *where, "--html", page), ("status", *where)):
        code, output = run(tmp_path, *command)
        assert code == 0, output
        assert all(line in output for line in LINES)
    code, output = run(tmp_path, "report", store.root, "-o", report)
    assert code == 0, output
    for written in (page.read_text(), report.read_text()):
        assert all(html.escape(line) in written for line in LINES)
        assert "<b>T. stddev" not in written
    code, output = run(tmp_path, "status", *where, "--json")
    assert json.loads(output)["notes"] == NOTES
