"""Object stores behind a network that breaks a tenth of all requests: that costs time, and nothing else.

CI tries S3. FAULTY_STORES=s3,gs,abfs tries these kinds (Azurite must be on the PATH), FAULTY_SEED other faults.
"""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store import requests
from orchestrator.store.addresses import open_folder
from orchestrator.store.store import Store
from orchestrator.upkeep.pruning import carry_out, removals
from orchestrator.upkeep.verification import verify
from tests.orchestrator.commands import run
from tests.orchestrator.results import assert_same_results
from tests.orchestrator.store.object_servers import ObjectServer, object_server
from trainer.positions import FINAL

TRIED = os.environ.get("FAULTY_STORES", "s3").split(",")
SEED = int(os.environ.get("FAULTY_SEED", "0"))
RATE = 0.1
NEVER_PASSED_ON = ("refused", "500")

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", params=TRIED)
def server(request: pytest.FixtureRequest) -> Iterator[ObjectServer]:
    with object_server(request.param) as server:
        yield server


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "FIRST_PAUSE_S", 0)


def fingerprint(number: int) -> str:
    return f"{number:064x}"


def add(store: Store, number: int) -> None:
    curve = [{"epoch": 1, "test_loss": 0.5}, {"epoch": 2, "test_loss": 0.25}]
    store.add_result({"fingerprint": fingerprint(number), "test_loss": 0.25}, curve)


def test_readers_under_compaction_lose_no_row(server: ObjectServer) -> None:
    name = uuid.uuid4().hex
    with server.faulty(RATE, SEED) as proxy:
        address = server.behind(proxy).address(name)
        written = list(range(10))
        for number in written:
            add(Store(address), number)

        def keep_compacting() -> None:
            for number in range(10, 20):
                add(Store(address), number)
                written.append(number)
                Store(address).compact()

        def read() -> None:
            before = {fingerprint(number) for number in written}
            store = Store(address)
            assert before <= store.finished()
            results = store.results()
            assert before <= set(results["fingerprint"].to_pylist())
            assert set(results["test_loss"].to_pylist()) == {0.25}

        with ThreadPoolExecutor(3) as pool:
            compacting = pool.submit(keep_compacting)
            readers = [pool.submit(read) for _ in range(20)]
            for done in (compacting, *readers):
                done.result()
        assert sum(proxy.faults.values()) > 10
    store = Store(server.address(name))
    assert store.finished() == {fingerprint(number) for number in range(20)}
    assert store.epochs().num_rows == 40
    assert {name for name, table in store.tables.items() if len(table.files()) > 1} == set()


def test_a_file_is_put_whole_or_not_at_all(server: ObjectServer, no_pauses: None) -> None:
    name, content = uuid.uuid4().hex, os.urandom(300_000)
    with server.faulty(1.0, SEED, NEVER_PASSED_ON) as proxy:
        folder = open_folder(server.behind(proxy).address(name))
        for before in (None, b"before"):
            straight = open_folder(server.address(name))
            if before is not None:
                straight.write("file", before)
            with pytest.raises(OSError, match="no answer, tried 5 times"):
                folder.write("file", content)
            if before is None:
                assert straight.names() == []
            else:
                assert straight.read("file") == before
    straight.write("file", content)
    assert straight.read("file") == content


@pytest.mark.parametrize(
    "faults",
    [
        ["emptied", "emptied"],
        ["cut in its body", "emptied"],
        ["cut in its head", "500", "refused", "unanswered"],
        ["cut in its body", "cut in its body", "emptied"],
    ],
    ids=", ".join,
)
def test_an_answer_that_is_empty_or_short_is_none(
    server: ObjectServer, faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = open_folder(server.address(uuid.uuid4().hex))
    straight.write("file", b"content")
    with server.faulty(0.0) as proxy:
        folder = open_folder(straight.address.replace(server.host, proxy.address))
        for answer, expected in (
            (folder.names, ["file"]),
            (lambda: folder.size("file"), 7),
            (lambda: folder.read("file"), b"content"),
        ):
            to_come = iter(faults)
            monkeypatch.setattr(proxy, "next_fault", lambda to_come=to_come: next(to_come, None))
            assert answer() == expected
            assert next(to_come, None) is None


@pytest.mark.slow
def test_a_whole_sweep(
    server: ObjectServer, home: Path, sweep: Path, undisturbed: Store, tmp_path: Path
) -> None:
    name = uuid.uuid4().hex
    straight = Store(server.address(name))
    with server.faulty(RATE, SEED) as proxy:
        address = server.behind(proxy).address(name)
        arguments: list[Any] = ["run", sweep, "--store", address, "--cpus", 2]
        code, output = run(home, *arguments, environment=server.environment)
        assert code == 0, output
        assert_same_results(straight, undisturbed)
        assert straight.signs.running() == straight.signs.runs() == {}
        code, output = run(home, *arguments, environment=server.environment)
        assert "all 7 trials are finished already" in output
        store = Store(address)
        store.compact()
        for _ in range(2):
            assert verify(store) == []
            assert removals(store, ["damaged"]) == []
        assert_same_results(straight, undisturbed)
        bundle = tmp_path / "bundle.zip"
        code, output = run(home, "export", address, "-o", bundle, environment=server.environment)
        assert code == 0, output
        print(f"{proxy.requests} requests, spoilt: {dict(proxy.faults)}")  # noqa: T201
    row = next(r for r in straight.results().to_pylist() if r["kind"] != "stddev")
    damaged = row["fingerprint"]
    folder = straight.checkpoint_folder(damaged)
    folder.write(FINAL, folder.read(FINAL)[:-1] + b"\0\1")
    with server.faulty(RATE, SEED + 1) as proxy:
        store = Store(server.behind(proxy).address(name))
        assert [found.fingerprint for found in verify(store)] == [damaged]
        (removal,) = removals(store, ["damaged"])
        carry_out([removal])
        assert store.finished() == undisturbed.finished() - {damaged}
