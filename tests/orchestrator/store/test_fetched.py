"""Files of an object store on this machine: fetched once, resumed, noticed when they change."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store import fetched as module
from orchestrator.store.addresses import open_folder
from orchestrator.store.arriving import TELL_EVERY_S, Arriving, told_to
from orchestrator.store.fetched import PARTS, fetched, folder_for, listed
from orchestrator.store.object_folder import ObjectFolder, Version
from tests.orchestrator.store.faulty_proxy import FaultyProxy
from tests.orchestrator.store.object_servers import KINDS, ObjectServer, object_server
from trainer.datasets.errors import DataError

CONTENTS = {
    "train/a/1.png": b"one",
    "train/b/2.png": b"two" * 1000,
    "test/a/3.png": b"",
    "archive.bin": bytes(range(256)) * 40,
}


class Proxy(FaultyProxy):
    """Keeps what was asked for; from some request on it cuts every answer in two."""

    cut_from = 10**9
    where = ""

    def __init__(self, server: str) -> None:
        super().__init__(server, kinds=("cut in its body",))
        self.asked: list[str] = []

    def next_fault(self) -> str | None:
        self.requests += 1
        return "cut in its body" if self.requests >= self.cut_from else None

    def path_for(self, method: str, path: str) -> str:
        self.asked.append(f"{method} {path}")
        return super().path_for(method, path)

    def num_asked(self, name: str) -> int:
        return sum(name in line and line.startswith("GET ") for line in self.asked)


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[ObjectServer]:
    with object_server(request.param) as server:
        yield server


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with object_server("s3") as server, Proxy(server.host) as proxy:
        proxy.where = server.behind(proxy).address("data")
        put(proxy.where, CONTENTS)
        proxy.asked.clear()
        yield proxy


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(address: str, contents: dict[str, bytes]) -> None:
    for path, content in contents.items():
        folder = open_folder(address)
        *folders, name = path.split("/")
        for part in folders:
            folder = folder.folder(part)
        folder.write(name, content)


def fetch_all(address: str) -> Path:
    return fetched(address, listed(address), is_all=True)


def found_in(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_folder_and_a_file_of_every_kind_of_store(server: ObjectServer) -> None:
    address = server.address("data")
    put(address, CONTENTS)
    put(server.address("data-of-others"), {"x": b"x"})
    assert listed(address).keys() == CONTENTS.keys()
    assert listed(address, "train").keys() == {"train/a/1.png", "train/b/2.png"}
    assert listed(address, "none") == {}
    assert found_in(fetch_all(address)) == CONTENTS
    (archive,) = listed(address, "archive.bin")
    assert archive == "archive.bin"


def test_what_is_there_is_not_asked_for_again(s3: Proxy) -> None:
    assert found_in(fetch_all(s3.where)) == CONTENTS
    assert s3.num_asked(".png") == 2, "an empty file needs no request"
    s3.asked.clear()
    assert found_in(fetch_all(s3.where)) == CONTENTS
    assert s3.num_asked(".png") == 0
    (folder_for(s3.where) / "train/a/1.png").unlink()
    assert found_in(fetch_all(s3.where)) == CONTENTS
    assert s3.num_asked(".png") == 1


def test_a_file_that_was_cut_off_is_gone_on_with(
    s3: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three parts of eleven the network breaks for good; later it is whole again."""
    monkeypatch.setattr(module, "PART_BYTES", 1000)
    wanted = listed(s3.where, "archive.bin")
    s3.cut_from = s3.requests + 4
    with pytest.raises(DataError, match=r"archive\.bin: no answer, tried 5 times"):
        fetched(s3.where, wanted, is_all=False)
    assert not list(folder_for(s3.where).iterdir()), "nothing appears half"
    (part,) = (folder_for(s3.where).parent / PARTS).iterdir()
    assert part.stat().st_size == 3000
    s3.cut_from, s3.asked = 10**9, []
    folder = fetched(s3.where, wanted, is_all=False)
    assert (folder / "archive.bin").read_bytes() == CONTENTS["archive.bin"]
    assert s3.num_asked("archive.bin") == 8
    assert not list((folder.parent / PARTS).iterdir())


def test_a_network_that_breaks_now_and_then(s3: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 1000)
    turns = iter(range(10**6))
    monkeypatch.setattr(s3, "next_fault", lambda: s3.kinds[0] if next(turns) % 4 == 3 else None)
    assert found_in(fetch_all(s3.where)) == CONTENTS


def test_processes_that_want_the_same_at_once_fetch_it_once(s3: Proxy) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fetch_all, args=(s3.where,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert found_in(folder_for(s3.where)) == CONTENTS
    assert s3.num_asked(".png") == 2


def test_what_changed_is_fetched_again_and_what_is_gone_goes(s3: Proxy) -> None:
    fetch_all(s3.where)
    put(s3.where, {"train/a/1.png": b"eno"})
    open_folder(s3.where).folder("test").folder("a").remove("3.png")
    s3.asked.clear()
    after = {k: v for k, v in CONTENTS.items() if k != "test/a/3.png"} | {"train/a/1.png": b"eno"}
    assert found_in(fetch_all(s3.where)) == after
    assert s3.num_asked(".png") == 1, "the same length, another tag"
    assert not (folder_for(s3.where) / "test").exists()


def test_a_file_that_changes_between_the_listing_and_the_fetching(s3: Proxy) -> None:
    wanted = listed(s3.where)
    put(s3.where, {"train/a/1.png": b"eno"})
    with pytest.raises(DataError, match=r"1\.png was changed while it was read"):
        fetched(s3.where, wanted, is_all=True)
    assert found_in(fetch_all(s3.where))["train/a/1.png"] == b"eno"


def test_a_journal_that_was_cut_off_costs_one_file(s3: Proxy) -> None:
    folder = fetch_all(s3.where)
    journal = folder.parent / module.JOURNAL
    journal.write_text(journal.read_text()[:-5])
    s3.asked.clear()
    assert found_in(fetch_all(s3.where)) == CONTENTS
    assert s3.num_asked("/bucket/data/") <= 1
    s3.asked.clear()
    fetch_all(s3.where)
    assert s3.num_asked("/bucket/data/") == 0


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a//x", "./x"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def versions(self: ObjectFolder, name_: str) -> dict[str, Version]:
        return {name: Version(1, None)}

    monkeypatch.setattr(ObjectFolder, "versions", versions)
    with pytest.raises(DataError, match="is no name that a file can have"):
        listed("s3://bucket/data?region=x")


def test_who_waits_is_told_what_comes(cache: Path) -> None:
    with object_server("s3") as server:
        address = server.address("data")
        put(address, CONTENTS)
        lines: list[str] = []
        with told_to(lines.append):
            fetch_all(address)
            fetch_all(address)
        assert lines == ["s3://bucket/data: fetching 4 files, 0.0 MB"]


def test_how_far_it_is_is_told_now_and_then() -> None:
    lines: list[str] = []
    clock = iter([0.0, 1.0, TELL_EVERY_S, TELL_EVERY_S + 1, 2 * TELL_EVERY_S]).__next__
    with told_to(lines.append):
        arriving = Arriving("s3://bucket/data?region=x", [30_000_000, 2_345_678], clock)
        for _ in range(4):
            arriving.came(5_000_000)
    assert lines == [
        "s3://bucket/data: fetching 2 files, 32.3 MB",
        "s3://bucket/data: 10.0 of 32.3 MB",
        "s3://bucket/data: 20.0 of 32.3 MB",
    ]


def test_who_leaves_does_not_wait_for_the_rest_of_a_large_file(
    s3: Proxy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts that have come stay."""
    monkeypatch.setattr(module, "PART_BYTES", 1000)
    whole_part, give_up, is_leaving = ObjectFolder.part, Arriving.give_up, threading.Event()

    def part(folder: ObjectFolder, name: str, start: int, end: int, version: Version) -> bytes:
        if start == 2000:
            os.kill(os.getpid(), signal.SIGINT)
            assert is_leaving.wait(60)
        return whole_part(folder, name, start, end, version)

    def leave(arriving: Arriving) -> None:
        give_up(arriving)
        is_leaving.set()

    monkeypatch.setattr(ObjectFolder, "part", part)
    monkeypatch.setattr(Arriving, "give_up", leave)
    # What was started in the background of a shell ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fetched(s3.where, listed(s3.where, "archive.bin"), is_all=False)
    finally:
        signal.signal(signal.SIGINT, before)
    (left,) = (folder_for(s3.where).parent / PARTS).iterdir()
    assert left.stat().st_size == 3000
    assert not list(folder_for(s3.where).iterdir())
