"""The Ray that a run uses: one of its own on this machine, or one that is there already."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cluster.interruption import Interruption
from orchestrator.language.resources import KINDS, AllResources, Resources
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Capacity
from trainer.problems import UserError

ANSWERS_WITHIN_S = 10.0
OBJECT_STORE_BYTES = 200 * 2**20

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "300",
    "TUNE_MAX_PENDING_TRIALS_PG": "256",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class LocalCluster:
    """What the Ray of this machine may use; None: all that is there."""

    cpus: int | None = None
    gpus: int | None = None


@dataclass(frozen=True)
class ExistingCluster:
    """A Ray cluster that runs already: `HOST:PORT`, or `auto` for the one of this machine."""

    address: str


Cluster = LocalCluster | ExistingCluster


@contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """A Ray of our own on this machine, or a connection to one; silent, its logs stay in its folder.

    Raises:
        UserError: no cluster answers at the address, or it does not let us in.
    """
    token_is_expected = isinstance(cluster, LocalCluster) or has_token(os.environ)
    unset = {} if token_is_expected else {"RAY_AUTH_MODE"}
    quiet = {k: os.environ.get(k, v) for k, v in QUIET.items() if k not in unset}
    os.environ.update(quiet)
    interruption = Interruption()
    interruption.listen()
    import ray

    if isinstance(cluster, LocalCluster):
        where: dict[str, Any] = {
            "address": "local",
            "num_cpus": cluster.cpus,
            "num_gpus": cluster.gpus,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    else:
        where = {"address": _checked(cluster.address)}
    try:
        ray.init(
            **where,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"}},
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if isinstance(cluster, LocalCluster):
            raise
        raise UserError(f"{cluster.address}: {_refusal(error)}") from error
    except SystemExit as error:
        raise KeyboardInterrupt from error
    interruption.listen()
    interruption.check()
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()


def _refusal(error: Exception) -> str:
    """Why a cluster does not take this process, in one line."""
    text = " ".join(str(e) for e in (error, error.__cause__) if e)
    if "ersion mismatch" in text:
        words = " ".join(text.split())
        return f"made with other versions than those here; use the same on both sides: {words}"
    if "AuthToken" in text or type(error).__name__ == "AuthenticationError":
        return (
            "no Ray cluster to connect to: it asks for a token, and RAY_AUTH_TOKEN "
            "(or ~/.ray/auth_token) is not it"
        )
    return f"no Ray cluster to connect to: {str(error).strip().partition(chr(10))[0]}"


def _checked(address: str) -> str:
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or "/" in host:
            raise UserError(f"{address}: expected HOST:PORT of a Ray cluster's head, or auto")
        check_that_something_answers(address, host, int(port), what="Ray cluster")
    return address


def check_that_something_answers(address: str, host: str, port: int, *, what: str) -> None:
    """Ray itself tries for minutes before it gives up.

    Raises:
        UserError: nothing listens there; `what` is what was hoped for.
    """
    try:
        socket.create_connection((host, port), timeout=ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"{address}: no {what} to connect to: {error}") from error


def has_token(environment: Mapping[str, str]) -> bool:
    """Whether Ray will find a token to show to a cluster."""
    if environment.get("RAY_AUTH_TOKEN") or environment.get("RAY_AUTH_TOKEN_PATH"):
        return True
    return (Path.home() / ".ray" / "auth_token").exists()


def log_folder(ray: Any) -> str:
    node = ray._private.worker._global_node  # noqa: SLF001
    return str(node.get_logs_dir_path())


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


def living_nodes(ray: Any) -> list[Node]:
    """The nodes that are there now."""
    return [
        Node(n["NodeID"], n["Resources"], n["NodeManagerAddress"])
        for n in ray.nodes()
        if n["Alive"]
    ]


def capacity_of(ray: Any) -> Capacity:
    """What all nodes have together."""
    nodes = living_nodes(ray)
    return Capacity(cpu=sum(n.cpu for n in nodes), gpu=sum(n.gpu for n in nodes))


def this_machine() -> Node:
    """What is known of this machine without starting Ray: its CPUs."""
    return Node("this machine", {"CPU": float(os.cpu_count() or 1)})


def unmet_requests(plan: Plan, nodes: Sequence[Node]) -> list[str]:
    """A line for each kind of missing trials whose resources none of the nodes has."""
    has_gpus = any(node.gpu for node in nodes)
    kinds = {trial.kind for trial in plan.missing}
    found = []
    for kind in (kind for kind in KINDS if kind in kinds):
        wanted = plan.sweep.resources.of(kind).on(has_gpus)
        if not any(node.holds(wanted) for node in nodes):
            there = "; ".join(f"{n.cpu:g} CPU, {n.gpu:g} GPU" for n in nodes)
            extra = [f"{v:g} {k}" for k, v in wanted.custom.items()]
            if wanted.accelerator:
                extra.append(f"a GPU of type {wanted.accelerator}")
            found.append(
                f"resources.{kind}: no node has {wanted.cpu} CPU and {wanted.gpu:g} GPU"
                f"{''.join(f' and {e}' for e in extra)}; the cluster's nodes have: {there}; "
                "gpu left out takes a GPU where there are any"
            )
    return found


def decided_resources(plan: Plan, ray: Any) -> AllResources:
    """The resources of each kind, checked: a request that no node can meet would hang for ever.

    Raises:
        UserError: there is one.
    """
    nodes = living_nodes(ray)
    unmet = unmet_requests(plan, nodes)
    if unmet:
        raise UserError("\n".join(unmet))
    has_gpus = any(node.gpu for node in nodes)
    return AllResources(**{kind: plan.sweep.resources.of(kind).on(has_gpus) for kind in KINDS})
