"""The Ray that a run uses: one of its own on this machine, or one that is there already."""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.cluster import interruption
from orchestrator.cluster.cluster import Cluster
from orchestrator.cluster.nodes import NOTHING
from orchestrator.cluster.own_ray import OwnRay
from orchestrator.cluster.run_folder import RunFolder, run_folder
from orchestrator.cluster.vigil import HeadOfACluster, Watched, watching
from orchestrator.planning.scheduling import Capacity
from orchestrator.store.provenance import PACKAGES, TOP
from orchestrator.worker import own_packages
from orchestrator.worker.foreign import first_line, is_other_version, wants_token
from trainer.problems import UserError

ANSWERS_WITHIN_S = 10.0
STANDARD_LIBRARY = Path(os.__file__).parent
OBJECT_STORE_BYTES = 200 * 2**20

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
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
    """A Ray cluster that runs already: `HOST:PORT`, or `auto` for the one of this machine.

    `most` is what its autoscaler may bring it to.
    """

    address: str
    most: Capacity = NOTHING


Place = LocalCluster | ExistingCluster
"""Which Ray a run is to use."""


@contextmanager
def connected(place: Place, tell: Callable[[str], None]) -> Iterator[Cluster]:
    """A Ray of our own on this machine, or a connection to one; silent, its logs stay in its folder.

    A Ray that dies ends what goes on with `RayLostError`; `tell` tells a person where nobody else can.

    Raises:
        UserError: no cluster answers at the address, or it does not let us in; no temporary folder can be
            written.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with (
        _having_a_home(),
        run_folder() as folder,
        _kept_after_an_error(folder),
        ExitStack() as at_the_end,
    ):
        own = OwnRay(folder)
        starting: AbstractContextManager[None] = nullcontext()
        if isinstance(place, LocalCluster):
            at_the_end.enter_context(own.surroundings())
            where, starting = {**own.place, **_size(place)}, own.starting()
        else:
            where = {"address": _checked(place.address)}
            if has_token(os.environ):
                os.environ.setdefault("RAY_AUTH_MODE", "token")
        import ray

        at_the_end.callback(own.end)
        at_the_end.callback(_shut_down, ray)
        at_the_end.enter_context(_messages_into(folder.messages))
        with starting:
            context = _started(ray, place, where)
        interruption.listen()
        interruption.check()
        for name in ("ray.tune", "ray.train", "ray.air"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        watched: Watched = own
        most = NOTHING
        if isinstance(place, ExistingCluster):
            watched, most = HeadOfACluster(context.address_info["gcs_address"]), place.most
        with watching(watched, tell):
            yield Cluster(ray, f"{context.address_info['session_dir']}/logs", folder, most)


@contextmanager
def _having_a_home() -> Iterator[None]:
    """Ray asks where it is, though nothing is written there; where there is none, it is meanwhile one that nobody can make."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.devnull
    else:
        yield
        return
    try:
        yield
    finally:
        del os.environ["HOME"]


def _size(place: LocalCluster) -> dict[str, Any]:
    return {
        "num_cpus": place.cpus,
        "num_gpus": place.gpus,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }


def _shut_down(ray: Any) -> None:
    """A Ray that is gone is not asked to shut down: it would not answer."""
    if interruption.lost() is None and ray.is_initialized():
        with _signals_heard_again():
            ray.shutdown()


@contextmanager
def _signals_heard_again() -> Iterator[None]:
    """When Ray lets go of a driver it sets SIGTERM back to what ends a process at once, and then takes its time to end
    its servers: before that, signals are ours again.
    """
    from ray._private import worker

    node: Any = worker._global_node  # noqa: SLF001
    end_servers = node.kill_all_processes

    def after_listening(*given: Any, **named: Any) -> None:
        interruption.listen()
        end_servers(*given, **named)

    node.kill_all_processes = after_listening
    try:
        yield
    finally:
        interruption.listen()


@contextmanager
def _kept_after_an_error(folder: RunFolder) -> Iterator[None]:
    """Ray's logs may tell why; not of bad input or of somebody who wants to leave."""
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        folder.is_wanted = isinstance(error, Exception) or interruption.lost() is not None
        raise


@contextmanager
def _messages_into(path: Path) -> Iterator[None]:
    """What Ray has to say of itself, such as pages of a dying raylet's log, goes to a file and not to the screen."""
    from ray._private import worker

    ray_worker: Any = worker
    usual = ray_worker.print_to_stdstream

    def write(message: Mapping[str, Any], **_options: object) -> None:
        with suppress(OSError), path.open("a", errors="replace") as file:
            file.writelines(f"{line}\n" for line in message["lines"])

    ray_worker.print_to_stdstream = write
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = usual


def _started(ray: Any, place: Place, where: Mapping[str, Any]) -> Any:
    """Ray's context, once it has started or connected."""
    try:
        if isinstance(place, ExistingCluster) and place.address != "auto":
            _check_versions(place.address)
        with _by_value(own_packages), _standing_in(STANDARD_LIBRARY):
            return ray.init(
                **where,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={
                    "env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"},
                    "worker_process_setup_hook": own_packages.hook_for(str(TOP), PACKAGES),
                },
            )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if isinstance(place, LocalCluster):
            raise
        raise UserError(f"{place.address}: {_refusal(error)}") from error
    except SystemExit:  # what Ray makes of SIGTERM meanwhile
        interruption.take_over()


def _check_versions(address: str) -> None:
    """Ray itself asks late: first it waits, for a minute, for a node that it understands.

    Raises:
        RuntimeError: the cluster is one of another Ray or Python.
        RayError: it does not let us in.
    """
    from ray._common.usage.usage_lib import get_cluster_metadata
    from ray._private.utils import check_version_info
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    if metadata := get_cluster_metadata(GcsClient(address=address)):
        check_version_info(metadata, "this process")


@contextmanager
def _by_value(module: ModuleType) -> Iterator[None]:
    """Functions of a module travel by their code: where they arrive, it could not be imported yet."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)  # type: ignore[no-untyped-call]


@contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    """Ray puts the folder where its driver stands first on the path of its workers: it is to be a harmless one."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _refusal(error: Exception) -> str:
    """Why a cluster does not take this process, in one line."""
    text = " ".join(str(e) for e in (error, error.__cause__) if e)
    if is_other_version(text):
        words = " ".join(text.split())
        return f"made with other versions than those here; use the same on both sides: {words}"
    if wants_token(text) or type(error).__name__ == "AuthenticationError":
        return (
            "no Ray cluster to connect to: it asks for a token, and RAY_AUTH_TOKEN "
            "(or ~/.ray/auth_token) is not it"
        )
    return f"no Ray cluster to connect to: {first_line(error)}"


def _checked(address: str) -> str:
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or "/" in host:
            is_dashboard = address.startswith(("http://", "https://"))
            hint = "; a dashboard's address is for kdsweep submit" if is_dashboard else ""
            raise UserError(f"{address}: expected HOST:PORT of a Ray cluster's head, or auto{hint}")
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
    try:
        return (Path.home() / ".ray" / "auth_token").exists()
    except (RuntimeError, OSError):
        # Without a home, or before one that is closed to us, Ray finds none either.
        return False
