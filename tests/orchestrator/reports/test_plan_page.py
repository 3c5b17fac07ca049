"""The plan as a page, and what `plan` says of a machine or a cluster that is too small."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.nodes import Node, decided_resources, unmet_requests
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import make_plan
from orchestrator.planning.simulation import SimulatedJob
from orchestrator.reports.plan_page.dependencies import boxes, depths
from orchestrator.reports.plan_page.timeline import lanes
from orchestrator.store.store import Store
from tests.orchestrator.commands import run
from tests.orchestrator.planning.test_scheduling import trials
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError

PAPER = Path(__file__).parents[3] / "sweeps" / "paper_cifar100.yaml"


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10)), min_size=1, max_size=30))
def test_no_two_jobs_of_a_line_overlap_and_no_line_is_too_many(
    spans: list[tuple[int, int]],
) -> None:
    (first, *_) = trials()
    jobs = [SimulatedJob(start, start + length, (first,)) for start, length in sorted(spans)]
    where = lanes(jobs)
    for i, one in enumerate(jobs):
        for j in range(i):
            if where[i] == where[j]:
                assert jobs[j].end <= one.start
    most = max(sum(j.start <= job.start < j.end for j in jobs) for job in jobs)
    assert max(where) + 1 == most


def test_boxes_hold_every_trial_and_lines_lead_to_the_next_column() -> None:
    wanted = trials(pairs=["resnet20/resnet8", "resnet20/resnet14"], seeds=[0, 1])
    found, edges = boxes(wanted)
    assert sum(map(len, found.values())) == len(wanted)
    assert all(other.depth == one.depth + 1 for one, other in edges)
    assert sorted({box.kind for box in found if box.depth == 2}) == ["stddev"]
    needing = {box for box in found if box.depth}
    assert {other for _, other in edges} == needing
    depth = depths(wanted)
    for trial in wanted:
        assert all(depth[needed] < depth[trial.fingerprint] for needed in trial.depends_on)


def test_the_page_of_the_papers_sweep(tmp_path: Path) -> None:
    page = tmp_path / "out" / "plan.html"
    code, output = run(tmp_path, "plan", PAPER, "--gpus", 8, "--html", page)
    assert code == 0, output
    assert f"page: {page}" in output
    html = page.read_text()
    assert html.count('class="box ') == 5 + 9 + 5 + 9
    assert html.count('class="bar ') == output_jobs(output)
    assert "27 students · cifar100" in html
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|https?://', html)


def output_jobs(output: str) -> int:
    (line,) = [line for line in output.splitlines() if re.match(r"│\s+8 │", line)]
    return int(line.split("│")[2])


@pytest.mark.skipif(not shutil.which("chromium"), reason="no browser here")
def test_a_browser_draws_the_page_without_asking_for_anything(tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    sweep = write_sweep(tmp_path)
    code, output = run(tmp_path, "plan", sweep, "--html", page)
    assert code == 0, output
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'u'}")
    answer = subprocess.run(
        ["chromium", *options, "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert answer.stdout.count("<rect") > 5
    assert "CONSOLE" not in answer.stderr


def test_the_order_of_work_is_told(tmp_path: Path) -> None:
    code, output = run(tmp_path, "plan", PAPER)
    assert code == 0, output
    assert "order of work on 1 GPU" in output
    order = output[output.index("order of work") :]
    assert order.index("teacher ResNet50 on cifar100, seed 0") < order.index("9 students")
    assert "and 25 more: --html FILE draws them all" in output


def test_what_this_machine_cannot_run_is_told(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, resources={"student": {"cpu": 1000}})
    code, output = run(tmp_path, "plan", sweep)
    assert code == 0, output
    assert "WARNING: resources.student: 1000 CPU; this machine has " in output
    code, output = run(tmp_path, "plan", sweep, "--json")
    (request,) = json.loads(output)["requests_no_node_meets"]
    assert request.startswith("resources.student: 1000 CPU; this machine has ")


def test_what_no_node_can_meet(tmp_path: Path) -> None:
    asked = {
        "teacher": {"accelerator": "A100"},
        "student": {"gpu": 0.5, "custom": {"bigmem": 1}},
        "stddev": {"cpu": 3, "gpu": 0},
    }
    sweep = load_sweep(write_sweep(tmp_path, resources=asked))
    plan = make_plan(sweep, Store(tmp_path / "store"), retry_failed=False)
    large = Node("a", {"CPU": 8.0, "GPU": 4.0, "accelerator_type:A100": 1.0, "bigmem": 2.0})
    small = Node("b", {"CPU": 2.0, "GPU": 1.0})
    assert unmet_requests(plan, [large, small]) == []
    found = unmet_requests(plan, [small])
    assert [line.partition(":")[0] for line in found] == [
        *("resources.teacher", "resources.student", "resources.stddev"),
    ]
    assert "a GPU of type A100" in found[0]
    assert "1 bigmem" in found[1]


def test_tf32_on_a_cpu_is_planned_and_not_run(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, student={"epochs": 1, "precision": "tf32"})
    code, output = run(tmp_path, "plan", sweep)
    assert code == 0, output
    if not Path("/dev/nvidiactl").exists():
        assert "WARNING: student.precision: tf32 needs a GPU from Ampere on" in output
    plan = make_plan(load_sweep(sweep), Store(tmp_path / "store"), retry_failed=False)
    assert unmet_requests(plan, [Node("a", {"CPU": 8.0, "GPU": 1.0})]) == []
    with pytest.raises(UserError, match=r"student\.precision: tf32 needs a GPU from Ampere on"):
        decided_resources(plan, [Node("b", {"CPU": 8.0})])
