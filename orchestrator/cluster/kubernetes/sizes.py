"""How large a worker must be for the jobs that its GPUs hold at once."""

import math
from dataclasses import dataclass

from orchestrator.language.resources import KINDS, AllResources

GIB_OF_A_WORKER, GIB_OF_A_JOB = 4, 4
"""Assumed: for Ray and the cached data, and for a process with torch and its device's context."""


EXACT = 1e-9
"""A third of a GPU goes into it three times."""


@dataclass(frozen=True)
class Size:
    """Of one worker; `jobs` is how many of the smallest kind its GPUs hold at once."""

    jobs: int
    cpus: int
    memory: str
    custom: dict[str, int]


def size_for(resources: AllResources, gpus: int) -> Size:
    """The size of a worker with so many GPUs: whatever kind of jobs fills them has its CPUs and custom resources."""
    most_jobs, cpus, custom = 1, 1, dict[str, int]()
    for asked in (resources.of(kind).on(gpus > 0) for kind in KINDS):
        jobs = gpus * math.floor(1 / asked.gpu + EXACT) if asked.gpu else max(gpus, 1)
        most_jobs, cpus = max(most_jobs, jobs), max(cpus, jobs * asked.cpu)
        amounts = dict(asked.custom)
        for name, amount in amounts.items():
            custom[name] = max(custom.get(name, 0), math.ceil(jobs * amount))
        if asked.accelerator is not None:
            # As Ray does on a node that has one: it is asked for in trifles.
            custom[f"accelerator_type:{asked.accelerator}"] = 1
    memory = f"{GIB_OF_A_WORKER + GIB_OF_A_JOB * most_jobs}Gi"
    return Size(most_jobs, cpus, memory, custom)
