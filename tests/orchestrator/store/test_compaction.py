"""Many files become one: readers see equal rows before, during and after, and after a kill anywhere."""

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.store.columns import RESULTS
from orchestrator.store.store import Store
from orchestrator.store.table import ParquetTable
from orchestrator.upkeep.verification import verify
from tests.analysis.stores import fill as fill_with_trials
from tests.analysis.stores import paper_trials
from trainer.files import LocalFolder


def fingerprint(number: int) -> str:
    return f"{number:064x}"


def row(number: int, second: int = 0) -> dict[str, Any]:
    at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    return {"fingerprint": fingerprint(number), "test_loss": number / 7, "finished_at": at}


def fill(store: Store, numbers: range) -> None:
    for number in numbers:
        curve = [
            {"epoch": epoch, "test_loss": number / epoch, "t_stddev": math.nan} for epoch in (1, 2)
        ]
        store.add_result(row(number), curve)
        store.add_failure({"fingerprint": fingerprint(number), "error": "e"})


def content(store: Store) -> list[Any]:
    tables = (store.results(), store.epochs(), store.failures())
    return [*(repr(table.to_pydict()) for table in tables), store.finished()]


def test_rows_are_equal_before_and_after(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, range(10))
    before = content(store)
    done = store.compact()
    assert (done["results"].files_before, done["results"].files_after) == (10, 1)
    assert content(store) == before
    assert len(list(tmp_path.glob("results/*.parquet"))) == 1
    assert store.results([fingerprint(3)])["test_loss"].to_pylist() == [3 / 7]
    fill(store, range(5, 12))
    assert len(store.finished()) == store.results().num_rows == 12
    store.compact()
    assert len(store.finished()) == store.results().num_rows == 12
    assert store.compact()["results"].files_before == 1
    frame = pd.concat(map(pd.read_parquet, tmp_path.glob("results/*.parquet")))
    assert sorted(set(frame["fingerprint"])) == [fingerprint(n) for n in range(12)]
    assert len(frame) == 10 + 7, "of what was computed twice, both: a drop may know of one only"


def test_of_equal_fingerprints_the_newest_counts_whatever_the_order(tmp_path: Path) -> None:
    table = Store(tmp_path).tables["results"]
    table.add(fingerprint(1), [row(1, second=5)])
    table.compact()
    table.add("other", [row(1, second=3)])
    assert table.read()["finished_at"].to_pylist() == [row(1, second=5)["finished_at"]]
    table.compact()
    assert table.read()["finished_at"].to_pylist() == [row(1, second=5)["finished_at"]]


def test_dropping(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, range(4))
    store.compact()
    store.forget([fingerprint(n) for n in (0, 2)])
    assert store.finished() == {fingerprint(1), fingerprint(3)}
    store.forget([fingerprint(n) for n in (1, 3)])
    assert store.finished() == frozenset()
    assert store.results().num_rows == store.epochs().num_rows == store.failures().num_rows == 0


def test_an_empty_store_has_nothing_to_compact(tmp_path: Path) -> None:
    assert Store(tmp_path / "store").compact()["results"].rows == 0
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("fatal", range(8))
def test_a_kill_in_the_middle_loses_nothing(fatal: int, tmp_path: Path) -> None:
    """SIGKILL at the compaction's n-th change of the folder, whichever that is."""
    store = Store(tmp_path)
    fill(store, range(5))
    before = content(store)
    script = f"""
import os, signal
from orchestrator.store.store import Store
from trainer.files import LocalFolder
left = {fatal}
def counted(real):
    def change(*arguments):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*arguments)
    return change
LocalFolder.write, LocalFolder.remove = map(counted, (LocalFolder.write, LocalFolder.remove))
Store({str(tmp_path)!r}).tables["results"].compact()
"""
    answer = subprocess.run([sys.executable, "-c", script], check=False)
    assert answer.returncode == (-signal.SIGKILL if fatal < 7 else 0)
    assert content(store) == before
    store.compact()
    assert content(store) == before
    assert len(store.tables["results"].files()) == 1


def test_kills_at_random_moments(tmp_path: Path) -> None:
    """Compactions are started and killed until one survives; a reader looks all the time."""
    store = Store(tmp_path)
    fill(store, range(40))
    before = content(store)
    script = f"from orchestrator.store.store import Store; print(flush=True); Store({str(tmp_path)!r}).compact()"
    chance = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(chance.uniform(0.0, 0.06))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert content(store) == before
        fill(store, range(40))
        before = content(store)
    store.compact()
    assert store.results().num_rows == 40


def test_readers_and_writers_go_on_while_two_compactions_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    table = store.tables["results"]
    written = 0
    stop = threading.Event()
    problems: list[Exception] = []

    def guarded(work: Any) -> threading.Thread:
        def run() -> None:
            try:
                while not stop.is_set():
                    work()
            except Exception as error:  # noqa: BLE001
                problems.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def look() -> None:
        at_least = written
        rows = Store(tmp_path).results()
        assert rows.num_rows >= at_least
        assert len(set(rows["fingerprint"].to_pylist())) == rows.num_rows
        assert len(Store(tmp_path).finished()) >= at_least

    def compact() -> None:
        Store(tmp_path).tables["results"].compact()

    threads = [guarded(look), guarded(look), guarded(compact), guarded(compact)]
    for number in range(150):
        table.add(fingerprint(number), [row(number)])
        written = number + 1
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems
    assert table.read()["fingerprint"].to_pylist() == [fingerprint(n) for n in range(150)]


def test_verify_misses_no_row_where_a_compaction_comes_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files that verify has listed are gone when it reads them."""
    store = fill_with_trials(Store(tmp_path), paper_trials(["vgg13/vgg8"], ["cifar100"], [0]))
    before = verify(store)
    table = store.tables["results"]
    check = table.check

    def compacted_first(name: str) -> Any:
        monkeypatch.undo()
        Store(tmp_path).compact()
        return check(name)

    monkeypatch.setattr(table, "check", compacted_first)
    assert verify(store) == before
    assert len(table.files()) == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 9), st.integers(0, 59)),
        st.tuples(st.just("compact"), st.just(0), st.just(0)),
        st.tuples(st.just("drop"), st.integers(0, 9), st.just(0)),
    ),
    max_size=25,
)


@given(steps)
@settings(deadline=None, max_examples=60)
def test_any_history_reads_like_a_dictionary(history: list[tuple[str, int, int]]) -> None:
    """Rows by fingerprint, the newest of equals; compactions change nothing."""
    with tempfile.TemporaryDirectory() as folder:
        table = ParquetTable(
            LocalFolder(Path(folder)), RESULTS, key=("fingerprint",), newest_by="finished_at"
        )
        merged: dict[int, int] = {}
        loose: dict[int, int] = {}
        for what, number, second in history:
            match what:
                case "add":
                    table.add(fingerprint(number), [row(number, second)])
                    loose[number] = max(second, loose.get(number, second))
                case "compact" if len(loose) + bool(merged) > 1:
                    table.compact()
                    merged = expected(merged, loose)
                    loose = {}
                case "drop":
                    table.drop([fingerprint(number)])
                    merged = expected(merged, loose)
                    merged.pop(number, None)
                    loose = {}
            now = expected(merged, loose)
            assert table.fingerprints() == {fingerprint(n) for n in now}
            seconds = [at.second for at in table.read()["finished_at"].to_pylist()]
            assert seconds == [now[n] for n in sorted(now)]


def expected(merged: dict[int, int], loose: dict[int, int]) -> dict[int, int]:
    return {n: max(merged.get(n, 0), loose.get(n, 0)) for n in {*merged, *loose}}
