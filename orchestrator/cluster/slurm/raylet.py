"""One node of a Ray in an allocation: a head, or one that joins it. Its processes are those of an `OwnRay`."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from orchestrator.cluster.connection import OBJECT_STORE_BYTES, QUIET
from orchestrator.cluster.own_ray import OwnRay
from orchestrator.cluster.run_folder import RunFolder
from orchestrator.cluster.slurm.allocation import Allocation
from orchestrator.worker.foreign import first_line

ANY_PORT = 9
"""Nothing is sent there: a route is looked up."""


class NodeNotStartedError(Exception):
    """A node could not be started."""


@contextmanager
def started(
    folder: RunFolder, here: Allocation, own_address: str, head: str | None = None
) -> Iterator[tuple[OwnRay, str]]:
    """A node, and the address of its head; when this ends, so does it.

    Args:
        folder: this process's own; it holds the token that the nodes show each other.
        here: whose CPUs and GPUs it offers.
        own_address: the one by which the other nodes reach this machine; it listens there.
        head: the address of the head that it joins; None: it is the head.

    Raises:
        NodeNotStartedError: Ray does not start, or the head does not take it.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    own = OwnRay(folder, is_alone=ip_address(own_address).is_loopback)
    with own.surroundings():
        try:
            with own.starting():
                address = _start(folder.ray, here, own_address, head)
            yield own, address
        except NodeNotStartedError:
            folder.is_wanted = True  # its logs may tell why
            raise
        finally:
            own.end()


def _start(folder: Path, here: Allocation, own_address: str, head: str | None) -> str:
    """Ports are any that are free; there is no dashboard and no server for Ray's clients."""
    from ray._private import node, parameter

    parameters: Any = parameter.RayParams(
        node_ip_address=own_address,
        node_name=own_address,
        gcs_address=head,
        num_cpus=here.cpus,
        num_gpus=here.gpus,
        object_store_memory=OBJECT_STORE_BYTES,
        temp_dir=str(folder),
        include_dashboard=False if head is None else None,
        dashboard_agent_listen_port=0,
        no_monitor=True,
    )
    try:
        made: Any = node.Node(
            parameters, head=head is None, shutdown_at_exit=False, spawn_reaper=True
        )
    except Exception as error:
        raise NodeNotStartedError(first_line(error)) from error
    return str(made.gcs_address)


def address_towards(host: str) -> str | None:
    """This machine's address on the way to another; None where no way is known."""
    with suppress(OSError):
        for family, kind, protocol, _, place in socket.getaddrinfo(
            host, ANY_PORT, type=socket.SOCK_DGRAM
        ):
            with socket.socket(family, kind, protocol) as way, suppress(OSError):
                way.connect(place)
                return str(way.getsockname()[0])
    return None
