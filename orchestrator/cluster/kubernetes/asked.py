"""From what a user asks for to a request: everything is checked, what is left out follows from the sweep."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from orchestrator.cluster.kubernetes.names import (
    check_image,
    check_job_name,
    check_label,
    check_quantity,
    check_subdomain,
    job_name_of,
    label_of,
    toleration_of,
)
from orchestrator.cluster.kubernetes.places import check_path, check_place, is_remote
from orchestrator.cluster.kubernetes.request import (
    CLAIM_IS_AT,
    Claim,
    Pods,
    Request,
    Workers,
)
from orchestrator.cluster.kubernetes.sizes import size_for
from orchestrator.cluster.nodes import Node, unmet_requests
from orchestrator.cluster.packing import for_elsewhere
from orchestrator.language.resources import KINDS
from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import Plan, expand
from trainer.datasets.source import EMBEDDED
from trainer.problems import UserError

SPOT: tuple[dict[str, str], ...] = (
    {"key": "cloud.google.com/gke-spot", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "karpenter.sh/capacity-type", "operator": "Equal", "value": "spot"},
    {"key": "eks.amazonaws.com/capacityType", "operator": "Equal", "value": "SPOT"},
)
"""How providers keep pods off spot nodes that do not ask for them; some do not."""

DEFAULT_CLAIM_SIZE = "100Gi"


@dataclass(frozen=True)
class Asked:
    """The options of `kdsweep kubernetes`, as they are given. Times are in seconds."""

    image: str
    gpus: int
    gpus_per_worker: int = 1
    workers: int | None = None
    cpus_per_worker: int | None = None
    memory: str | None = None
    shared_memory: str = "1Gi"
    claim: str | None = None
    claim_exists: bool = False
    claim_size: str | None = None
    storage_class: str | None = None
    store: str | None = None
    data: str | None = None
    name: str | None = None
    namespace: str | None = None
    token_secret: str = "kdsweep-token"  # noqa: S105 - the name of a secret, not one
    service_account: str | None = None
    pull_secret: str | None = None
    env_secrets: tuple[str, ...] = ()
    node_selectors: tuple[str, ...] = ()
    tolerate: tuple[str, ...] = ()
    spot: bool = False
    queue: str | None = None
    user: int = 1000
    group: int | None = None
    retries: int = 3
    keep_s: int = 600
    time_limit_s: int | None = None
    retry_failed: bool = False


def request_of(sweep: Sweep, asked: Asked) -> Request:
    """The request that a sweep and its options make.

    Raises:
        UserError: something is no name, quantity or place of Kubernetes, or does not go together; no worker
            could compute what the sweep asks for.
    """
    store, data = _store(sweep, asked), _data(sweep, asked)
    _check_paths(sweep)
    pods, workers = _pods(asked), _workers(sweep, asked)
    _check_jobs_fit(sweep, workers, pods)
    return Request(
        name=_name(sweep, asked),
        sweep_name=sweep.name,
        sweep_text=_packed(sweep),
        store=store,
        data=data,
        workers=workers,
        pods=pods,
        claim=_claim(asked, [place for place in (store, data) if place], sweep),
        ray_version=version("ray"),
        kdsweep_version=version("kdsweep"),
        token_secret=check_subdomain(asked.token_secret, "--token-secret"),
        namespace=_if_given(asked.namespace, check_label, "--namespace"),
        queue=_if_given(asked.queue, check_label, "--queue"),
        retries=asked.retries,
        keep_s=asked.keep_s,
        time_limit_s=asked.time_limit_s,
        verb="resume" if asked.retry_failed else "run",
    )


def _if_given(text: str | None, check: Callable[[str, str], str], what: str) -> str | None:
    return None if text is None else check(text, what)


def _name(sweep: Sweep, asked: Asked) -> str:
    if asked.name is not None:
        return check_job_name(asked.name, "--name")
    return job_name_of(f"kdsweep-{sweep.name}")


def _packed(sweep: Sweep) -> str:
    """The resolved sweep without the places that the command names; in JSON, which is YAML."""
    elsewhere = for_elsewhere(sweep).model_copy(update={"data": None})
    return json.dumps(elsewhere.model_dump(mode="json"), indent=1)


def _store(sweep: Sweep, asked: Asked) -> str:
    of_sweep = sweep.store if sweep.store and is_remote(sweep.store) else None
    return check_place(
        asked.store if asked.store is not None else of_sweep or f"{CLAIM_IS_AT}/store", "--store"
    )


def _data(sweep: Sweep, asked: Asked) -> str | None:
    """Where official data are; None where nothing but embedded data, or images with a path, is asked for."""
    of_sweep = sweep.data if sweep.data and is_remote(sweep.data) else None
    if (place := asked.data if asked.data is not None else of_sweep) is not None:
        return check_place(place, "--data")
    if all(choice.path is not None or choice.name == EMBEDDED for choice in sweep.dataset):
        return None
    return f"{CLAIM_IS_AT}/data"


def _check_paths(sweep: Sweep) -> None:
    """Files that a sweep names are read by the pods; images are fetched by them, too."""
    for choice in sweep.dataset:
        if choice.path is not None:
            check_place(choice.path, f"dataset {choice.name}: path")
    for where, path in sweep.checkpoints.items():
        check_path(path, where)


def _workers(sweep: Sweep, asked: Asked) -> Workers:
    if asked.gpus == 0:
        if asked.workers is None:
            raise UserError("--gpus 0: expected --workers, how many pods without a GPU may run")
        most, gpus = asked.workers, 0
    else:
        if asked.workers is not None:
            raise UserError(
                "--workers goes with --gpus 0: elsewhere --gpus and --gpus-per-worker say how many"
            )
        most, rest = divmod(asked.gpus, asked.gpus_per_worker)
        if rest or not most:
            near = max(most, 1) * asked.gpus_per_worker
            raise UserError(
                f"--gpus {asked.gpus}: expected a multiple of --gpus-per-worker {asked.gpus_per_worker}; "
                f"did you mean {near}?"
            )
        gpus = asked.gpus_per_worker
    size = size_for(sweep.resources, gpus)
    memory = _if_given(asked.memory, check_quantity, "--memory") or size.memory
    return Workers(most, gpus, asked.cpus_per_worker or size.cpus, memory, size.custom)


def _pods(asked: Asked) -> Pods:
    tolerations = [toleration_of(taint, "--tolerate") for taint in asked.tolerate]
    return Pods(
        image=check_image(asked.image, "--image"),
        user=asked.user,
        group=asked.user if asked.group is None else asked.group,
        shared_memory=check_quantity(asked.shared_memory, "--shared-memory"),
        service_account=_if_given(asked.service_account, check_subdomain, "--service-account"),
        pull_secret=_if_given(asked.pull_secret, check_subdomain, "--pull-secret"),
        env_secrets=tuple(check_subdomain(name, "--env-secret") for name in asked.env_secrets),
        node_selector=dict(label_of(label, "--node-selector") for label in asked.node_selectors),
        tolerations=(*tolerations, *(SPOT if asked.spot else ())),
    )


def _claim(asked: Asked, places: Sequence[str], sweep: Sweep) -> Claim | None:
    """The claim; None where all is in object stores."""
    own = [choice.path for choice in sweep.dataset if choice.path is not None]
    seen = [*places, *own, *sweep.checkpoints.values()]
    if asked.claim is None:
        if below := next((place for place in seen if not is_remote(place)), None):
            raise UserError(
                f"--claim: expected the name of a claim that all pods share, as {below} is in it"
            )
        return None
    size = _if_given(asked.claim_size, check_quantity, "--claim-size")
    storage_class = _if_given(asked.storage_class, check_subdomain, "--storage-class")
    name = check_subdomain(asked.claim, "--claim")
    if not asked.claim_exists:
        return Claim(name, size or DEFAULT_CLAIM_SIZE, storage_class)
    if size or storage_class:
        raise UserError("--claim-exists: a claim that is there has its size and its class")
    return Claim(name)


def _check_jobs_fit(sweep: Sweep, workers: Workers, pods: Pods) -> None:
    """What could never start is told here, as far as it can be known without the images of one's own."""
    accelerators = {a for kind in KINDS if (a := sweep.resources.of(kind).accelerator)}
    if accelerators and not pods.node_selector:
        raise UserError(
            f"resources: accelerator {', '.join(sorted(accelerators))}: expected --node-selector KEY=VALUE, "
            "the label of the nodes that have it"
        )
    if sweep.checkpoints or any(choice.path is not None for choice in sweep.dataset):
        return
    plan = Plan(sweep, tuple(expand(sweep)), frozenset(), {})
    counted = {"CPU": float(workers.cpus), "GPU": float(workers.gpus), **workers.custom}
    if unmet := unmet_requests(plan, [Node("worker", counted)]):
        raise UserError("\n".join(unmet))
