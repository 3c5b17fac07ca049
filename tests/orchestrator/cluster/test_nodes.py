"""What fits on the nodes of now, or on those that may come."""

import math
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.nodes import NOTHING, Node, decided_resources, unmet_requests
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.scheduling import Capacity
from orchestrator.store.store import Store
from tests.orchestrator.sweeps import write_sweep

HEAD = Node("head", {"memory": 1e9})


def plan_of(folder: Path, **student: Any) -> Plan:
    sweep = write_sweep(folder, measure=["s_test_loss"], resources={"student": student})
    return make_plan(load_sweep(sweep), Store(folder / "store"), retry_failed=False)


def test_what_may_come_is_as_good_as_what_is_there(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert len(unmet_requests(plan, [HEAD])) == 2
    resources = decided_resources(plan, [HEAD], Capacity(math.inf, 8.0))
    assert resources.student.gpu == 1.0, "a GPU each, as there will be some"
    assert decided_resources(plan, [HEAD], Capacity(4.0, 0.0)).student.gpu == 0.0


@pytest.mark.parametrize(
    ("student", "most", "said"),
    [
        ({"cpu": 8}, Capacity(4.0, 1.0), "--scale-to says that 4 CPU and 1 GPU may come"),
        ({"gpu": 1}, Capacity(4.0, 0.0), "--scale-to says that 4 CPU and 0 GPU may come"),
        ({"gpu": 0}, Capacity(math.inf, 8.0), "how many CPUs may come: --scale-to 8,CPUS"),
        ({"gpu": 1}, NOTHING, "--scale-to tells what an autoscaler may bring"),
    ],
)
def test_what_cannot_come_is_told(
    student: dict[str, Any], most: Capacity, said: str, tmp_path: Path
) -> None:
    (*_, line) = unmet_requests(plan_of(tmp_path, **student), [HEAD], most)
    assert line.startswith("resources.student: ")
    assert said in line
