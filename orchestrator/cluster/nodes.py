"""The machines of a cluster, and whether what a plan asks for fits on any of them."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.language.resources import KINDS, SECTIONS, AllResources, Kind, Resources, job_kind
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Capacity
from trainer.problems import UserError
from trainer.trial import Trial, computed_in

NOTHING = Capacity(cpu=0.0, gpu=0.0)


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: Ray's name of it, what it has in all, and its address."""

    name: str
    resources: Mapping[str, float]
    address: str = ""

    def __str__(self) -> str:
        return f"node {self.address} ({self.name[:8]})"

    @property
    def cpu(self) -> float:
        return self.resources.get("CPU", 0.0)

    @property
    def gpu(self) -> float:
        return self.resources.get("GPU", 0.0)

    def holds(self, resources: Resources) -> bool:
        """Whether a job of this size ever fits."""
        asked = resources.bundle.items()
        return all(self.resources.get(name, 0.0) >= amount for name, amount in asked)


def this_machine() -> Node:
    """What is known of this machine without starting Ray: its CPUs."""
    return Node("this machine", {"CPU": float(os.cpu_count() or 1)})


def has_gpu() -> bool:
    """Whether this machine has a GPU, as far as its driver tells without torch."""
    return Path("/dev/nvidiactl").exists()


def unmet_requests(plan: Plan, nodes: Sequence[Node], most: Capacity = NOTHING) -> list[str]:
    """A line for each kind of missing trials that no node can compute, or whose resources none has.

    Of nodes that may come, up to `most` in all, it is known how many CPUs and GPUs they have together, no more.
    """
    has_gpus = _has_gpus(nodes, most)
    kinds = {job_kind(trial) for trial in plan.missing}
    unmet = []
    for kind in (kind for kind in KINDS if kind in kinds):
        wanted = plan.sweep.resources.of(kind).on(has_gpus)
        if not (any(node.holds(wanted) for node in nodes) or _may_come(wanted, most)):
            sizes = "; ".join(f"{n.cpu:g} CPU, {n.gpu:g} GPU" for n in nodes) or "nothing"
            if most != NOTHING:
                sizes += f"; --scale-to says that {most.cpu:g} CPU and {most.gpu:g} GPU may come"
            extra = [f"{v:g} {k}" for k, v in wanted.custom.items()]
            if wanted.accelerator:
                extra.append(f"a GPU of type {wanted.accelerator}")
            hint = "gpu left out takes a GPU where there are any"
            if not any(node.cpu for node in nodes) and most == NOTHING:
                hint = "--scale-to tells what an autoscaler may bring"
            unmet.append(
                f"resources.{kind}: no node has {wanted.cpu} CPU and {wanted.gpu:g} GPU"
                f"{''.join(f' and {e}' for e in extra)}; the cluster's nodes have: {sizes}; "
                f"{hint}"
            )
        elif not wanted.gpu and math.isinf(most.cpu):
            unmet.append(
                f"resources.{kind}: jobs take no GPU, so it must be told how many CPUs may come: "
                f"--scale-to {most.gpu:g},CPUS"
            )
        elif not wanted.gpu and (trials := _tf32_trials(plan, kind)):
            unmet.append(
                f"{SECTIONS[kind]}.precision: tf32 needs a GPU from Ampere on, and a {kind} job takes none here "
                f"({len(trials):,} trials); fp32 runs anywhere"
            )
    return unmet


def _has_gpus(nodes: Sequence[Node], most: Capacity) -> bool:
    return most.gpu > 0 or any(node.gpu for node in nodes)


def _may_come(wanted: Resources, most: Capacity) -> bool:
    return wanted.cpu <= most.cpu and (wanted.gpu or 0.0) <= most.gpu


def tf32_without_gpu(plan: Plan) -> list[str]:
    """A line for each kind of missing trials that a machine without a GPU cannot compute."""
    return [
        f"{SECTIONS[kind]}.precision: tf32 needs a GPU from Ampere on, and this machine has none "
        f"({len(trials):,} trials)"
        for kind in KINDS
        if (trials := _tf32_trials(plan, kind))
    ]


def _tf32_trials(plan: Plan, kind: Kind) -> list[Trial]:
    """The missing trials of a kind that only some GPUs can compute."""
    return [t for t in plan.missing if job_kind(t) == kind and computed_in(t) == "tf32"]


def decided_resources(plan: Plan, nodes: Sequence[Node], most: Capacity = NOTHING) -> AllResources:
    """The resources of each kind, checked: a request that no node can meet would hang for ever.

    `most` is what may come.

    Raises:
        UserError: there is one.
    """
    if unmet := unmet_requests(plan, nodes, most):
        raise UserError("\n".join(unmet))
    has_gpus = _has_gpus(nodes, most)
    return AllResources(**{kind: plan.sweep.resources.of(kind).on(has_gpus) for kind in KINDS})
