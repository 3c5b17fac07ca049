"""What a node is asked before it gets a job, and how it answers: it runs there.

It compares its kdsweep and its libraries with the driver's, reads from the store what the driver wrote, writes
what the driver may read back, and prepares the data.
"""

import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.store.provenance import (
    PACKAGES,
    TOP,
    digest_of,
    version_of,
)
from orchestrator.store.store import Store
from orchestrator.worker.model_libraries import model_library_versions
from orchestrator.worker.preparation import prepare
from trainer.problems import UserError
from trainer.trial import TRIAL, Trial

LOOKS, BETWEEN_LOOKS_S = 5, 1.0
"""A shared file system may take a moment to show one machine what another has written."""


@dataclass(frozen=True)
class Question:
    """What a node is asked, as plain data.

    `drivers_mark` is the name of what the driver has left in the store, `nodes_mark` of what the node is to leave
    there; None: it takes away what it wrote. `trials` are JSON: what they need must be there.
    """

    store: str
    drivers_mark: str
    nodes_mark: str | None
    software: dict[str, str]
    driver_has_it_in: str
    data_folder: str
    trials: tuple[str, ...]


def software(trials: Sequence[Trial] = ()) -> dict[str, str]:
    """What must be equal everywhere, as the numbers of some trials may depend on it."""
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        **{
            name: version_of(name) or "not installed"
            for name in ("ray", "torch", "torchvision", "pyarrow")
        },
        **model_library_versions(trials),
        "kdsweep": f"{version_of('kdsweep') or 'not installed'} (code {digest_of(*PACKAGES)[:12]})",
    }


def answer(question: Question) -> list[str]:
    """What is wrong on this node; runs there. Empty where all is well."""
    trials = [TRIAL.validate_json(trial) for trial in question.trials]
    here = software(trials)
    problems = [
        f"{name} is {here.get(name, 'unknown')}{_of(TOP, name)}, "
        f"the driver has {wanted}{_of(question.driver_has_it_in, name)}"
        for name, wanted in question.software.items()
        if here.get(name) != wanted
    ]
    if not problems:
        problems = [
            text for text in (_store_problem(question), _data_problem(question, trials)) if text
        ]
    return problems


def not_installed(module: str) -> str:
    """What is wrong where a module of kdsweep's, or one that it needs, cannot be imported."""
    return f"{module} is not installed there (kdsweep submit brings kdsweep itself)"


def _of(folder: object, name: str) -> str:
    return f" in {folder}" if name == "kdsweep" else ""


def _store_problem(question: Question) -> str | None:
    try:
        store = Store(question.store)
        for _ in range(LOOKS):
            if store.probes.is_listed(question.drivers_mark):
                mark = question.nodes_mark or uuid.uuid4().hex
                store.probes.set(mark)
                if mark != question.nodes_mark:
                    store.probes.clear(mark)
                return None
            time.sleep(BETWEEN_LOOKS_S)
    except (OSError, UserError) as error:
        return f"the store cannot be used: {error}"
    return (
        f"store {question.store}: what the driver wrote there is not seen here; "
        "give a place that all nodes share, such as NFS or s3://"
    )


def _data_problem(question: Question, trials: Sequence[Trial]) -> str | None:
    try:
        prepare(trials, question.data_folder)
    except (OSError, UserError) as error:
        return str(error)
    return None
