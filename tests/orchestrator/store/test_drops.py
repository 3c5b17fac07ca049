"""What is dropped stays dropped, whatever a compaction is doing at that moment and whatever clocks say."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.store.columns import EPOCHS, RESULTS
from orchestrator.store.drops import Drop
from orchestrator.store.store import Store
from orchestrator.store.table import ParquetTable
from trainer.files import LocalFolder

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DROPPED, AGAIN, OLD_NAME, OTHER = (f"{number:064x}" for number in range(4))
MOMENTS = 18
"""As many as a drop from four files has reads, writes and removals; a compaction has fewer."""


class Interrupted(LocalFolder):
    """Something else happens right before the n-th access."""

    def __init__(self, path: Path, moment: int, act: Callable[[], None]) -> None:
        super().__init__(path)
        self._left = moment
        self._act = act

    def _accessed(self) -> None:
        if self._left == 0:
            self.act_now()
        self._left -= 1

    def act_now(self) -> None:
        """Unless it has happened."""
        act, self._act = self._act, lambda: None
        act()

    def read(self, name: str) -> bytes:
        self._accessed()
        return super().read(name)

    def write(self, name: str, content: bytes) -> None:
        self._accessed()
        super().write(name, content)

    def remove(self, name: str) -> None:
        self._accessed()
        super().remove(name)


def table(folder: LocalFolder) -> ParquetTable:
    return ParquetTable(folder, RESULTS, key=("fingerprint",), newest_by="finished_at")


def row(fingerprint: str, loss: float = 1.0, at: datetime = NOON) -> dict[str, Any]:
    return {"fingerprint": fingerprint, "test_loss": loss, "finished_at": at}


def losses(folder: Path) -> dict[str, float]:
    rows = table(LocalFolder(folder)).read()
    assert table(LocalFolder(folder)).fingerprints() == set(rows["fingerprint"].to_pylist())
    return dict(zip(rows["fingerprint"].to_pylist(), rows["test_loss"].to_pylist(), strict=True))


def put_old(folder: Path, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """A file as they were before names had digests and rows an origin."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet")


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_rows_dropped_or_written_again_while_a_compaction_runs(moment: int, tmp_path: Path) -> None:
    """The writer of what is written again has a clock that is a day behind."""
    mine = table(LocalFolder(tmp_path))
    for fingerprint in (DROPPED, AGAIN, OTHER):
        mine.add(fingerprint, [row(fingerprint)])
    put_old(tmp_path, OLD_NAME, [row(OLD_NAME)], RESULTS)

    def meanwhile() -> None:
        other = table(LocalFolder(tmp_path))
        other.drop([DROPPED, AGAIN, OLD_NAME])
        other.add(AGAIN, [row(AGAIN, loss=2.0, at=NOON - timedelta(days=1))])

    folder = Interrupted(tmp_path, moment, meanwhile)
    table(folder).compact()
    folder.act_now()
    assert losses(tmp_path) == {AGAIN: 2.0, OTHER: 1.0}
    mine.compact()
    mine.compact()
    assert losses(tmp_path) == {AGAIN: 2.0, OTHER: 1.0}


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("other", ["compact", "drop"])
def test_rows_are_dropped_while_another_rewrites(other: str, moment: int, tmp_path: Path) -> None:
    mine = table(LocalFolder(tmp_path))
    for fingerprint in (DROPPED, AGAIN, OTHER):
        mine.add(fingerprint, [row(fingerprint)])

    def meanwhile() -> None:
        if other == "compact":
            mine.compact()
        else:
            mine.drop([AGAIN])

    folder = Interrupted(tmp_path, moment, meanwhile)
    table(folder).drop([DROPPED])
    folder.act_now()
    left = {AGAIN: 1.0, OTHER: 1.0} if other == "compact" else {OTHER: 1.0}
    assert losses(tmp_path) == left
    mine.compact()
    assert losses(tmp_path) == left


def test_what_is_written_again_and_compacted_before_the_drop_is_taken_down_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the first writer is ahead, so of both rows the one that is dropped counts for readers."""
    mine, other = table(LocalFolder(tmp_path)), table(LocalFolder(tmp_path))
    other.add(AGAIN, [row(AGAIN, at=NOON + timedelta(days=1))])
    take_down = mine.drops.add

    def late(drops: Iterable[Drop]) -> None:
        other.add(AGAIN, [row(AGAIN, loss=2.0)])
        other.compact()
        assert losses(tmp_path) == {AGAIN: 1.0}
        take_down(drops)

    monkeypatch.setattr(mine.drops, "add", late)
    mine.drop([AGAIN])
    assert losses(tmp_path) == {AGAIN: 2.0}
    other.compact()
    assert losses(tmp_path) == {AGAIN: 2.0}


def test_a_row_that_was_dropped_can_be_written_again_to_the_last_bit(tmp_path: Path) -> None:
    mine = table(LocalFolder(tmp_path))
    for _ in range(3):
        mine.add(AGAIN, [row(AGAIN)])
        assert losses(tmp_path) == {AGAIN: 1.0}
        mine.drop([AGAIN])
        assert losses(tmp_path) == {}
    assert mine.drop([AGAIN]).rows == 0


def test_what_was_dropped_is_kept_in_few_files(tmp_path: Path) -> None:
    mine = table(LocalFolder(tmp_path))
    for number in range(5):
        mine.add(f"{number:064x}", [row(f"{number:064x}")])
    for number in range(4):
        mine.drop([f"{number:064x}"])
    mine.add(AGAIN, [row(AGAIN)])
    mine.compact()
    assert len(list((tmp_path / "_dropped").iterdir())) == 1
    assert sorted(losses(tmp_path)) == [AGAIN, f"{4:064x}"]


def test_other_readers_of_a_table_find_its_rows_and_nothing_else(tmp_path: Path) -> None:
    """As docs/analysis.md shows: pandas takes the whole folder."""
    mine = table(LocalFolder(tmp_path))
    for fingerprint in (DROPPED, OTHER):
        mine.add(fingerprint, [row(fingerprint)])
    mine.drop([DROPPED])
    assert list(pandas.read_parquet(tmp_path)["fingerprint"]) == [OTHER]


@pytest.mark.parametrize("told", [None, NOON], ids=["no time", "equal times"])
def test_a_curve_is_always_of_one_run(told: datetime | None, tmp_path: Path) -> None:
    """Two runs of one trial, whose files are of older names or say the same time."""
    folder = tmp_path / "epochs"
    for run in (1, 2, 3):
        rows = [
            {"fingerprint": OTHER, "epoch": e, "seconds": float(run), "written_at": told}
            for e in range(1, 5)
        ]
        # The order of rows differs, as it does after merges.
        put_old(folder, f"{OTHER}-{run}", rows[run:] + rows[:run], EPOCHS)
    store = Store(tmp_path)
    before = store.epochs()["seconds"].to_pylist()
    assert len(set(before)) == 1
    store.compact()
    assert store.epochs()["seconds"].to_pylist() == before
