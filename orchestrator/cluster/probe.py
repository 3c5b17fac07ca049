"""Before anything is trained on a cluster: does every node that may run jobs have what jobs need?

A task on each such node compares its kdsweep and its libraries with the driver's, reads from the store what the
driver wrote, writes what the driver reads back, and prepares the data: so they are decoded once per node, and
a node that lacks them says so at once, not at its first job.
"""

import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cluster.cluster import Cluster, Task, TaskFailedError
from orchestrator.cluster.nodes import Node
from orchestrator.language.resources import AllResources
from orchestrator.planning.plan import Plan
from orchestrator.store.provenance import PACKAGES, TOP, digest_of, version_of
from orchestrator.store.store import Store
from orchestrator.worker.preparation import prepare, samples
from trainer.problems import UserError
from trainer.trial import TRIAL

STILL_WAITING_EVERY_S = 30.0
LOOKS, BETWEEN_LOOKS_S = 5, 1.0
"""A shared file system may take a moment to show one machine what another has written."""


@dataclass(frozen=True)
class Question:
    """What a node is asked, as plain data: `marks` are the names of what the driver and the node write."""

    store: str
    drivers_mark: str
    nodes_mark: str
    software: dict[str, str]
    driver_has_it_in: str
    data_folder: str
    trials: tuple[dict[str, Any], ...]


def software() -> dict[str, str]:
    """What must be equal everywhere, as a trial's numbers may depend on it."""
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        **{
            name: version_of(name) or "not installed"
            for name in ("ray", "torch", "torchvision", "pyarrow")
        },
        "kdsweep": f"{version_of('kdsweep') or 'not installed'} (code {digest_of(*PACKAGES)[:12]})",
    }


def answer(question: Question) -> list[str]:
    """What is wrong on this node; runs there. Empty where all is well."""
    here = software()
    problems = [
        f"{name} is {here.get(name, 'unknown')}{_of(TOP, name)}, "
        f"the driver has {wanted}{_of(question.driver_has_it_in, name)}"
        for name, wanted in question.software.items()
        if here.get(name) != wanted
    ]
    if not problems:
        problems = [text for text in (_store_problem(question), _data_problem(question)) if text]
    return problems


def _of(folder: object, name: str) -> str:
    return f" in {folder}" if name == "kdsweep" else ""


def _store_problem(question: Question) -> str | None:
    try:
        store = Store(question.store)
        for _ in range(LOOKS):
            if store.probes.is_listed(question.drivers_mark):
                store.probes.set(question.nodes_mark)
                return None
            time.sleep(BETWEEN_LOOKS_S)
    except (OSError, UserError) as error:
        return f"the store cannot be used: {error}"
    return (
        f"store {question.store}: what the driver wrote there is not seen here; "
        "give a place that all nodes share, such as NFS or s3://"
    )


def _data_problem(question: Question) -> str | None:
    trials = [TRIAL.validate_python(trial) for trial in question.trials]
    try:
        prepare(trials, Path(question.data_folder))
    except (OSError, UserError) as error:
        return str(error)
    return None


def probe(
    cluster: Cluster,
    plan: Plan,
    resources: AllResources,
    store: Store,
    data_folder: Path,
    note: Callable[[str], None],
) -> None:
    """Ask every node that may run one of the plan's jobs.

    Raises:
        UserError: something is missing, with a line for each node and problem.
    """
    kinds = {trial.kind for trial in plan.missing}
    asked = [n for n in cluster.nodes() if any(n.holds(resources.of(kind)) for kind in kinds)]
    note(f"asking {_nodes(asked)} for the store, the data and the same software")
    marks = [uuid.uuid4().hex for _ in asked]
    drivers_mark = uuid.uuid4().hex
    _leave(store, drivers_mark)
    trials = tuple(trial.model_dump(mode="json") for trial in samples(plan.missing))
    here, data = software(), str(data_folder)
    try:
        questions = [
            Question(store.address, drivers_mark, mark, here, str(TOP), data, trials)
            for mark in marks
        ]
        problems = _ask(cluster, asked, questions, note)
        for node, mark in zip(asked, marks, strict=True):
            if not problems[node.name] and not _appears(store, mark):
                problems[node.name] = [
                    f"store {store.address}: what it wrote there is not seen by the driver on "
                    f"{socket.gethostname()}; give a place that all nodes share, such as NFS or s3://"
                ]
    finally:
        with suppress(OSError):
            for mark in (drivers_mark, *marks):
                store.probes.clear(mark)
            store.probes.tidy()
    lines = [f"{node}: {problem}" for node in asked for problem in problems[node.name]]
    if lines:
        raise UserError("\n".join(lines))
    note(f"every node has what it needs ({_nodes(asked)})")


def _nodes(nodes: Sequence[Node]) -> str:
    return "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"


def _leave(store: Store, mark: str) -> None:
    try:
        store.probes.set(mark)
    except OSError as error:
        raise UserError(
            f"driver on {socket.gethostname()}: the store {store.address} cannot be written: {error}; "
            "give a place that all nodes share, such as NFS or s3://"
        ) from error


def _appears(store: Store, mark: str) -> bool:
    for _ in range(LOOKS):
        if store.probes.is_listed(mark):
            return True
        time.sleep(BETWEEN_LOOKS_S)
    return False


def _ask(
    cluster: Cluster,
    nodes: Sequence[Node],
    questions: Sequence[Question],
    note: Callable[[str], None],
) -> dict[str, list[str]]:
    """What is wrong, by node."""
    waiting = {
        cluster.start_on(node.name, answer, question): node
        for node, question in zip(nodes, questions, strict=True)
    }
    problems: dict[str, list[str]] = {}
    while waiting:
        task = cluster.first_over(waiting, STILL_WAITING_EVERY_S)
        if task is None:
            note(f"still waiting for {', '.join(map(str, waiting.values()))}")
        else:
            problems[waiting.pop(task).name] = _answer_of(cluster, task)
    return problems


def _answer_of(cluster: Cluster, task: Task[list[str]]) -> list[str]:
    try:
        return cluster.answer(task)
    except TaskFailedError as error:
        if error.missing:
            return [
                f"{error.missing} is not installed there (kdsweep submit brings kdsweep itself)"
            ]
        return [str(error)]
