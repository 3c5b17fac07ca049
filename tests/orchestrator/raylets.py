"""Ray clusters as an administrator starts them: `ray start`, a process tree per node, token authentication."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.orchestrator.commands import descendants, fresh_environment, wait_until

TOKEN = "0123456789abcdef" * 4
WITH_TOKEN = MappingProxyType({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN})
BIN = Path(sys.executable).parent
METADATA = """
import json, sys
from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY as KEY
from ray._private.ray_constants import KV_NAMESPACE_CLUSTER as SPACE
from ray._raylet import GcsClient
client, content = GcsClient(address=sys.argv[1]), json.loads(sys.argv[2])
if content:
    client.internal_kv_put(KEY, json.dumps(content).encode(), True, namespace=SPACE)
print(client.internal_kv_get(KEY, namespace=SPACE).decode())
"""
OBJECT_STORE = 80 * 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def can_hide_folders() -> bool:
    """Whether processes here may have their own view of the file system."""
    unshare = shutil.which("unshare")
    answer = unshare and subprocess.run(
        [unshare, "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return bool(answer) and answer.returncode == 0


class Raylets:
    """A cluster whose nodes are processes of this machine, each with a folder of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._folders: list[Path] = []
        self._port = free_port()
        dashboard = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        self._head = (
            *("--head", f"--port={self._port}", "--num-cpus=0"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            f"--ray-client-server-port={free_port()}",
        )

    def start_head(self, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        """A head that takes no jobs."""
        self._start(self._head, environment, ())
        wait_until(lambda: _listens(self.dashboard))

    def add_node(
        self,
        *options: str,
        environment: Mapping[str, str] = MappingProxyType({}),
        mounts: Mapping[Path, Path] = MappingProxyType({}),
    ) -> None:
        """A worker node. `mounts`: folders that this node alone sees in place of others."""
        private: tuple[str, ...] = ()
        if mounts:
            binds = " && ".join(f"mount --bind '{new}' '{old}'" for old, new in mounts.items())
            private = ("unshare", "-rm", "sh", "-c", f'{binds} && exec "$@"', "sh")
        self._start((f"--address={self.address}", *options), environment, private)

    def _start(
        self, options: tuple[str, ...], environment: Mapping[str, str], before: tuple[str, ...]
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="kdr-"))
        self._folders.append(folder)
        command = (
            *before,
            *(str(BIN / "ray"), "start", "--block", "--disable-usage-stats", *options),
            *(f"--object-store-memory={OBJECT_STORE}", f"--temp-dir={folder}"),
            f"--dashboard-agent-listen-port={free_port()}",
        )
        pretended = {"KDSWEEP_PRETEND_GPUS": "1"}
        surroundings = fresh_environment(self._home) | WITH_TOKEN | pretended | dict(environment)
        surroundings["PATH"] = environment.get("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
        with (folder / "start.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=surroundings, stdout=log, stderr=log, start_new_session=True
            )
        self._nodes.append(process)
        wait_until(lambda: _has_started(folder, process))

    @contextmanager
    def pretending(self, **metadata: str) -> Iterator[None]:
        """What the head tells of its versions is changed for a while."""
        before = self._metadata()
        self._metadata(before | metadata)
        try:
            yield
        finally:
            self._metadata(before)

    def _metadata(self, content: dict[str, str] | None = None) -> dict[str, str]:
        """Read, or write and read, what the head's store has of the cluster's versions."""
        answer = subprocess.run(
            [sys.executable, "-c", METADATA, self.address, json.dumps(content)],
            env=fresh_environment(self._home) | dict(WITH_TOKEN),
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, str] = json.loads(answer.stdout)
        return found

    def stop(self) -> None:
        for process in self._nodes:
            below = [pid for pid, _ in descendants(process.pid)]
            for pid in (process.pid, *below):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            process.wait()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


def _listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _has_started(folder: Path, process: "subprocess.Popen[bytes]") -> bool:
    text = (folder / "start.log").read_text(errors="replace")
    if process.poll() is not None:
        raise AssertionError(text)
    return "Ray runtime started" in text
