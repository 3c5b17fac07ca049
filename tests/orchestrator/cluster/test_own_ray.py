"""A local run's Ray: what others on the machine see of it, and what is left where its driver is killed."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.cluster import own_ray, undertaker
from tests.orchestrator.commands import (
    descendants,
    hear_signals,
    start,
    trial_workers,
    wait_until,
)
from tests.orchestrator.sweeps import write_sweep

LISTENS = "0A"
LONG = {"student": {"epochs": 5000}}


def run_folders(temporary: Path) -> list[Path]:
    return list(temporary.glob("kdsweep-run-*"))


def listening(pids: list[int]) -> dict[str, int]:
    """Where processes listen, as `ADDRESS:PORT`, and the process."""
    owners = {}
    for pid in pids:
        for descriptor in _entries(Path(f"/proc/{pid}/fd")):
            owners[_target(descriptor)] = pid
    found = {}
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, place, _, state, *rest = line.split()
            owner = owners.get(f"socket:[{rest[5]}]")
            if state == LISTENS and owner is not None:
                address, port = place.split(":")
                words = struct.unpack(f">{len(address) // 8}I", bytes.fromhex(address))
                packed = struct.pack(f"={len(words)}I", *words)
                found[f"{socket.inet_ntop(family, packed)}:{int(port, 16)}"] = owner
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def users_of(folder: Path) -> list[int]:
    """Processes with a file below a folder open."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [
        pid
        for pid in pids
        if any(_target(d).startswith(f"{folder}/") for d in _entries(Path(f"/proc/{pid}/fd")))
    ]


def is_loopback(place: str) -> bool:
    return place.rpartition(":")[0].removeprefix("::ffff:") in ("127.0.0.1", "::1")


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A command whose trial runs, and the folder of this run."""
    temporary = Path(tempfile.mkdtemp(prefix="kdo-"))
    sweep = write_sweep(tmp_path, **LONG)
    strange = {
        "TMPDIR": str(temporary),
        "RAY_AUTH_TOKEN": "known to all",
        "RAY_AUTH_MODE": "disabled",
    }
    process = start(
        tmp_path, "run", sweep, "--store", tmp_path / "store", "--cpus", 1, environment=strange
    )
    wait_until(lambda: trial_workers(process.pid))
    (folder,) = run_folders(temporary)
    yield process, folder
    process.kill()
    process.communicate()
    shutil.rmtree(temporary)


@pytest.mark.slow
def test_nobody_else_reaches_a_local_ray_and_it_dies_with_a_driver_that_is_killed(
    at_work: tuple["subprocess.Popen[str]", Path], tmp_path: Path
) -> None:
    process, folder = at_work
    below = dict(descendants(process.pid))
    assert any("DashboardAgent" in name for name in below.values())

    places = listening([process.pid, *below])
    assert len(places) > 5
    assert [place for place in places if not is_loopback(place)] == []

    assert folder.stat().st_mode & 0o777 == 0o700
    token = (folder / "token").read_bytes()
    assert len(token) == 64
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / ".ray").exists()
    for pid in (process.pid, *below):
        for name in ("cmdline", "environ"):
            assert token not in Path(f"/proc/{pid}/{name}").read_bytes()
    written = [path for path in folder.rglob("*") if path.is_file() and path.name != "token"]
    assert any(path.name == "gcs_server.out" for path in written)
    assert [path for path in written if token in path.read_bytes()] == []

    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: users_of(folder) == [], timeout=15)


def test_a_signal_while_ray_is_imported_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import that it broke off would fail in a way of its own, another time."""
    errors = iter([KeyboardInterrupt(), AttributeError("partially initialized module 'ray'")])

    def import_ray() -> None:
        raise next(errors)

    monkeypatch.setattr(own_ray, "_forget_token", import_ray)
    folder: Any = SimpleNamespace(token="token", torch="torch")
    before = dict(os.environ)
    with pytest.raises(KeyboardInterrupt), own_ray.OwnRay(folder).surroundings():
        pass
    assert dict(os.environ) == before


STARTS = """
import os
from orchestrator.cluster.connection import LocalCluster, connected
from trainer.datasets.cache import cache_root
with connected(LocalCluster(1), print) as cluster:
    from ray import tune
    (node,) = cluster.nodes()
    print(cluster.answer(cluster.start_on(node.name, lambda: os.getuid())), cache_root())
"""
UNKNOWN = 12345


def can_be_somebody_else() -> bool:
    """Whether processes here may have a user of their own."""
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([unshare, "-U", "true"], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_be_somebody_else(), reason="needs user namespaces")
def test_a_user_without_name_and_home_has_a_local_ray_and_a_cache(tmp_path: Path) -> None:
    """As in a container that is started with `--user 12345`."""
    ended = subprocess.run(
        [
            *("unshare", "--user", f"--map-user={UNKNOWN}", f"--map-group={UNKNOWN}"),
            *("env", "-i", f"PATH={os.environ['PATH']}", sys.executable, "-c", STARTS),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    uid, cache = ended.stdout.split()
    assert uid == str(UNKNOWN)
    assert Path(cache).parts[-2:] == (f"kdsweep-{UNKNOWN}", "cache")
    assert ended.stderr == ""


SIGNALLED = """
import signal
from orchestrator.cluster import interruption
from orchestrator.cluster.connection import LocalCluster, connected
from ray._private.node import Node

interruption.listen()
end_servers = Node.kill_all_processes

def signalled(*given, **named):
    signal.raise_signal(signal.SIGTERM)
    end_servers(*given, **named)

Node.kill_all_processes = signalled
try:
    with connected(LocalCluster(1), print):
        pass
except KeyboardInterrupt:
    print("heard")
"""


@pytest.mark.slow
def test_a_signal_is_heard_while_ray_shuts_down() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SIGNALLED],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=hear_signals,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "heard\n", "")


def test_what_is_ended_is_in_a_session_and_has_a_file_of_the_folder_open(tmp_path: Path) -> None:
    """Neither a stranger whose number a session had before, nor somebody who reads a log."""
    log = tmp_path / "raylet.out"
    log.touch()

    def sleep(*, reads: bool, leads: bool) -> "subprocess.Popen[bytes]":
        with log.open("rb") as opened:
            return subprocess.Popen(
                ["sleep", "600"],
                stdin=opened if reads else subprocess.DEVNULL,
                start_new_session=leads,
            )

    ours = sleep(reads=True, leads=True)
    stranger = sleep(reads=False, leads=True)
    reader = sleep(reads=True, leads=False)
    try:
        undertaker.end_all(str(tmp_path), {ours.pid, stranger.pid})
        assert ours.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
        assert reader.poll() is None
    finally:
        for process in (ours, stranger, reader):
            process.kill()
            process.wait()
