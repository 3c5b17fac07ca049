"""A Ray of our own on this machine: nobody else reaches it, no signal of ours does, and nothing of it outlives us.

Everything it writes is in the run's folder. It shows a token that is this run's alone, and listens on the loopback
interface only, unless it is to have nodes on other machines (`orchestrator.cluster.slurm`).

Each of its servers leads a session of its own, in which its children are: out of reach of signals to our process
group, of Ctrl-C, `timeout` and batch systems. Those are for kdsweep, which asks the workers to save; without control
process and raylet it could not. Ray binds the servers to the life of this process, and `undertaker` ends the rest.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from orchestrator.cluster import undertaker
from orchestrator.cluster.run_folder import RunFolder

LOOPBACK = "127.0.0.1"
BURIED_WITHIN_S = 10.0


class OwnRay:
    """The processes of a Ray that this process starts, with all that they leave in the run's folder.

    Args:
        folder: the run's.
        is_alone: no other machine is a node of it; else it listens at the address that it is given.
    """

    VITAL = frozenset({"gcs_server", "raylet"})

    def __init__(self, folder: RunFolder, *, is_alone: bool = True) -> None:
        self._folder = folder
        self._is_alone = is_alone
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._undertaker: subprocess.Popen[bytes] | None = None
        self._told: IO[bytes] | None = None

    @property
    def place(self) -> dict[str, str]:
        """For `ray.init`: where it is."""
        return {
            "address": "local",
            "_temp_dir": str(self._folder.ray),
            "_node_ip_address": LOOPBACK,
        }

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """The environment in which Ray is imported, started and used; afterwards it is as it was."""
        ours: dict[str, str | None] = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": None,
            "RAY_AUTH_TOKEN_PATH": str(self._folder.token),
            # Ray's word for a node that listens on the loopback interface only, whatever the system.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": str(int(not self._is_alone)),
            # Else torch makes one of a name that anybody knows, and wants to know the user's.
            "TORCHINDUCTOR_CACHE_DIR": str(self._folder.torch),
        }
        before = {name: os.environ.get(name) for name in ours}
        _set_environment(ours)
        is_imported = False
        try:
            _forget_token()
            is_imported = True
            yield
        finally:
            _set_environment(before)
            # A signal may have broken off the import of Ray, and another try would fail in its own way.
            if is_imported:
                _forget_token()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While this goes on, what Ray starts is ours."""
        from ray._private import ray_constants, services

        constants: Any = ray_constants
        ray_services: Any = services
        usual, spreads = ray_services.ConsolePopen, constants.ENABLE_RAY_CLUSTER
        told = self._awaited_by_an_undertaker()

        def start(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
            process: subprocess.Popen[bytes] = usual(
                *arguments, **{**options, "start_new_session": True}
            )
            self._processes[process.pid] = process
            with suppress(OSError):
                told.write(b"%d\n" % process.pid)
            return process

        ray_services.ConsolePopen = start
        # The environment was read when Ray was imported, perhaps before we set it.
        constants.ENABLE_RAY_CLUSTER = not self._is_alone
        try:
            yield
        finally:
            ray_services.ConsolePopen, constants.ENABLE_RAY_CLUSTER = usual, spreads

    def _awaited_by_an_undertaker(self) -> IO[bytes]:
        """Where it is told of the sessions; it acts once this is closed."""
        listened, told = os.pipe()
        command = [sys.executable, "-I", "-S", undertaker.__file__, str(self._folder.path)]
        try:
            self._undertaker = subprocess.Popen(  # noqa: S603 - our own file
                command, stdin=listened, start_new_session=True, cwd="/"
            )
        finally:
            os.close(listened)
        self._told = os.fdopen(told, "wb", buffering=0)
        return self._told

    def what_died(self) -> str | None:
        """Which of those is over without which there is no Ray."""
        for process in self._processes.values():
            command: Any = process.args
            name = Path(command[0]).name
            if name in self.VITAL and process.poll() is not None:
                return f"Ray's {name} on this machine has died (exit code {process.returncode})"
        return None

    def end(self) -> None:
        """End whatever is left of it: agents would outlive their raylet by a minute."""
        undertaker.end_all(str(self._folder.path), self._processes)
        if self._told is not None and self._undertaker is not None:
            self._told.close()
            with suppress(subprocess.TimeoutExpired):
                self._undertaker.wait(BURIED_WITHIN_S)


def _set_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _forget_token() -> None:
    """Ray reads mode and token once in a process."""
    from ray import _raylet

    core: Any = _raylet
    core.Config.initialize("")
    core.AuthenticationTokenLoader.instance().reset_cache()
