"""What is tried again, how long, and what is certain at once; and a store whose mount is gone."""

import errno
import itertools
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.store import patience as patience_module
from orchestrator.store.patience import BRIEFLY_S, Patience, is_certain
from orchestrator.store.signs import Run
from orchestrator.store.store import Store

LONGEST_S = 100.0


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.after: Callable[[float], None] = lambda now: None
        """Called after each wait."""

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.after(self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience_module, "time", clock)
    return clock


class Refusing:
    """Something that is refused for so many seconds of a clock."""

    def __init__(self, clock: Clock, error: OSError, seconds: float, takes: float = 0.0) -> None:
        self._clock = clock
        self._error = error
        self._until = clock.now + seconds
        self._takes = takes
        self.tries = 0
        self.tried_at: list[float] = []

    def __call__(self) -> str:
        self.tries += 1
        self.tried_at.append(self._clock.now)
        self._clock.now += self._takes
        if self._clock.now < self._until:
            raise self._error
        return "done"


STALE = OSError(errno.ESTALE, "Stale file handle")


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(n, "") for n in (errno.ESTALE, errno.EIO, errno.EROFS, errno.ENOSPC)),
        *(OSError(n, "") for n in (errno.EMFILE, errno.ETIMEDOUT, errno.ECONNRESET)),
        OSError("AWS Error INTERNAL_FAILURE, HTTP 500"),
    ],
    ids=str,
)
def test_what_passes_is_tried_again(error: OSError, clock: Clock) -> None:
    assert not is_certain(error)
    act = Refusing(clock, error, seconds=1)
    assert Patience(LONGEST_S)(act) == "done"
    assert act.tries > 2


@pytest.mark.parametrize(
    "number",
    [errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ENAMETOOLONG],
)
def test_what_is_certain_is_raised_at_once(number: int, clock: Clock) -> None:
    act = Refusing(clock, OSError(number, ""), math.inf)
    with pytest.raises(OSError, match=rf"\[Errno {number}\]"):
        Patience(LONGEST_S)(act)
    assert act.tries == 1


def test_waits_grow_and_end_in_time(clock: Clock) -> None:
    act = Refusing(clock, STALE, math.inf)
    with pytest.raises(OSError, match="Stale"):
        Patience(LONGEST_S)(act)
    waits = [later - sooner for sooner, later in itertools.pairwise(act.tried_at)]
    assert waits == pytest.approx(sorted(waits))
    assert LONGEST_S <= sum(clock.waits) <= LONGEST_S + patience_module.LONGEST_WAIT_S


def test_a_store_that_is_gone_for_good_is_waited_for_once(clock: Clock) -> None:
    patiently = Patience(LONGEST_S)
    for _ in range(3):
        with pytest.raises(OSError, match="Stale"):
            patiently(Refusing(clock, STALE, math.inf))
    first = sum(clock.waits)
    for _ in range(10):
        act = Refusing(clock, STALE, math.inf)
        with pytest.raises(OSError, match="Stale"):
            patiently(act)
        assert act.tries == 2
    assert sum(clock.waits) - first < 1
    assert patiently(lambda: "back") == "back"
    act = Refusing(clock, STALE, seconds=LONGEST_S / 2)
    assert patiently(act) == "done"


def test_what_takes_all_the_time_to_fail_is_not_tried_again(clock: Clock) -> None:
    act = Refusing(clock, STALE, math.inf, takes=LONGEST_S)
    with pytest.raises(OSError, match="Stale"):
        Patience(LONGEST_S)(act)
    assert act.tries == 1


def test_nobody_waits_long_for_a_full_disk(clock: Clock) -> None:
    with pytest.raises(OSError, match="full"):
        Patience(LONGEST_S)(Refusing(clock, OSError(errno.ENOSPC, "full"), math.inf))
    assert sum(clock.waits) < 2 * BRIEFLY_S


def test_whoever_must_leave_does_not_wait_on(clock: Clock) -> None:
    asked: list[bool] = []
    patiently = Patience(LONGEST_S, must_leave=lambda: bool(asked))

    def ask(now: float) -> None:
        if sum(clock.waits) > LONGEST_S / 2:
            asked.append(True)

    clock.after = ask
    act = Refusing(clock, STALE, math.inf)
    with pytest.raises(OSError, match="Stale"):
        patiently(act)
    assert sum(clock.waits) < LONGEST_S / 2 + BRIEFLY_S
    assert patiently(Refusing(clock, STALE, seconds=patience_module.FIRST_WAIT_S)) == "done"


def test_an_hour_in_which_the_process_was_stopped_is_no_hour_of_patience(clock: Clock) -> None:
    patiently = Patience(LONGEST_S + patience_module.LONGEST_OPERATION_S)
    frozen: list[float] = []

    def freeze(_: float) -> None:
        if not frozen:
            frozen.append(3600.0)
            clock.now += 3600.0

    clock.after = freeze
    assert patiently(Refusing(clock, STALE, seconds=3600 + LONGEST_S / 2)) == "done"


def in_use(root: Path, waits_s: float = LONGEST_S) -> Store:
    """A store in which a sweep is kept, as a worker opens it."""
    Store(root).save_sweep("one", {"name": "one"})
    return Store(root, waits_s=waits_s, is_made=True)


def comes_back(clock: Clock, root: Path, after_s: float) -> None:
    """The mount of a store is gone until the clock has gone on."""
    aside = root.with_name("aside")
    root.rename(aside)
    until = clock.now + after_s

    def mount(now: float) -> None:
        if now >= until and aside.exists():
            assert not root.exists()
            aside.rename(root)

    clock.after = mount


ROW = {"fingerprint": "f" * 64}


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.add_result(ROW, []),
        lambda store: store.add_failure({**ROW, "error": "no", "host": "here"}),
        lambda store: store.checkpoint_folder("f" * 64).write("a", b""),
        lambda store: store.finished(),
        lambda store: store.checkpoint_folder("f" * 64).names(),
        lambda store: store.checkpoint_folder("f" * 64).remove("a"),
    ],
    ids=["row", "failure", "checkpoint", "finished", "names", "remove"],
)
def test_a_store_whose_mount_is_gone_is_waited_for(
    use: Callable[[Store], object], clock: Clock, tmp_path: Path
) -> None:
    """Nothing is taken for absent, and nothing is written below the mount."""
    store = in_use(tmp_path / "store")
    store.add_result({"fingerprint": "e" * 64}, [])
    comes_back(clock, store.root, after_s=20)
    use(store)
    assert sum(clock.waits) >= 20
    assert "e" * 64 in store.finished()


def test_signs_and_marks_are_not_waited_for_long(clock: Clock, tmp_path: Path) -> None:
    store = in_use(tmp_path / "store")
    comes_back(clock, store.root, after_s=math.inf)
    with pytest.raises(OSError, match="is it mounted"):
        store.signs.set_run(Run("a", "tiny", "here", "now"))
    with pytest.raises(OSError, match="is it mounted"):
        store.stops.is_set("a")
    assert sum(clock.waits) < 4 * BRIEFLY_S
    assert not store.root.exists()


def test_a_store_that_has_still_to_be_made_is_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "store")
    assert store.finished() == frozenset()
    store.add_result(ROW, [])
    assert store.finished() == {ROW["fingerprint"]}


def test_no_log_is_written_below_a_mount_that_is_gone(clock: Clock, tmp_path: Path) -> None:
    store = in_use(tmp_path / "store")
    shutil.rmtree(store.root)
    with pytest.raises(OSError, match="is it mounted"):
        store.trial_folder("0" * 64)
    with pytest.raises(OSError, match="is it mounted"):
        store.patiently(lambda: store.root.mkdir(parents=True))
    assert not store.root.exists()
