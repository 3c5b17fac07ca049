"""What the launcher hears of the further nodes of its allocation."""

import sys

import pytest

from orchestrator.cluster.slurm.hand import Hand, Word
from orchestrator.cluster.slurm.others import Others
from tests.orchestrator.commands import wait_until
from tests.orchestrator.full_log import FullLog


def test_nodes_are_heard_where_the_log_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FullLog())
    joined = [Word(node, "joined", "2 CPUs").line() for node in ("one", "two")]
    said = "\n".join(["not a word of ours", *joined])
    others = Others(["sh", "-c", f"echo '{said}'; cat >/dev/null"], Hand("here:1", "token"))
    try:
        wait_until(lambda: len(others.joined) == 2, timeout=30)
    finally:
        others.end(keep_logs=False)
    assert others.joined == {"one": "2 CPUs", "two": "2 CPUs"}
