"""A Ray that is gone is noticed, whether or not the main thread can still be reached."""

import socket
import threading

import pytest

from orchestrator.cluster import vigil
from orchestrator.cluster.vigil import REFUSALS, HeadOfACluster
from tests.orchestrator.cluster.test_interruption import python


def test_a_head_that_refuses_again_and_again_is_lost_and_once_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        head = HeadOfACluster(f"127.0.0.1:{port}")
        assert head.what_died() is None
    assert [head.what_died() for _ in range(REFUSALS - 1)] == [None] * (REFUSALS - 1)
    with socket.create_server(("127.0.0.1", port)):
        assert head.what_died() is None
    *before, last = [head.what_died() for _ in range(REFUSALS)]
    assert before == [None] * (REFUSALS - 1)
    assert last is not None
    assert f"127.0.0.1:{port} does not answer any more" in last


def test_a_ray_that_dies_behind_a_run_that_is_over_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[str] = []
    monkeypatch.setattr(vigil, "lose", lost.append)
    monkeypatch.setattr(vigil, "EVERY_S", 0.0)
    asked, over = threading.Event(), threading.Event()

    class DiesAtTheEnd:
        def what_died(self) -> str:
            asked.set()
            over.wait()
            return "it died"

        def end(self) -> None:
            pass

    with vigil.watching(DiesAtTheEnd(), print):
        asked.wait()
        (watcher,) = (t for t in threading.enumerate() if t.name == "kdsweep-vigil")
    over.set()
    watcher.join()
    assert lost == []


def test_a_main_thread_that_does_not_come_back_is_ended_with_its_process() -> None:
    ended = python("""
import time
from orchestrator.cluster import interruption, vigil

class Gone:
    def what_died(self):
        return "it died"
    def end(self):
        print("ended", flush=True)

vigil.EVERY_S, vigil.LEAVE_WITHIN_S = 0.1, 0.3
interruption.listen()
with vigil.watching(Gone(), print):
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            pass
""")
    assert ended.returncode == 3
    told = "it died; the same command goes on from the last checkpoints"
    assert ended.stdout.splitlines() == [told, "ended"]
