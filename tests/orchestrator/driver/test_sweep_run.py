"""A run without Ray: what Tune would ask and tell, and a store that refuses now and then."""

import errno
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.nodes import Node
from orchestrator.driver.deadline import Deadline
from orchestrator.driver.guard import StoreUnusableError
from orchestrator.driver.meter import RunState
from orchestrator.driver.newcomers import Newcomers
from orchestrator.driver.sweep_run import SweepRun
from orchestrator.driver.view import unbroken
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.scheduling import Capacity
from orchestrator.store.clocks import LONGEST_STEP_S
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.signs import sign_of_life
from orchestrator.store.store import Store
from orchestrator.worker.job import FailedTrial, JobConfig, JobReport
from tests.orchestrator.planning.test_scheduling import ONE_CPU
from tests.orchestrator.sweeps import write_sweep
from trainer.trial import TRIAL


class OneMachine:
    """The outermost border: a cluster of one node with two CPUs."""

    log_folder = ""
    most = Capacity(0.0, 0.0)

    def nodes(self) -> list[Node]:
        return [Node("here", {"CPU": 2.0})]

    def capacity(self, without: Collection[str] = ()) -> Capacity:
        return Capacity(2.0, 0.0)


class Told:
    """A view that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, plan: Plan, logs: str) -> None:
        pass

    def tick(self, state: RunState) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, state: RunState) -> None:
        pass


class Refusing(Store):
    """A store that cannot be read so many times."""

    refusals = 0

    def finished(self) -> frozenset[str]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ESTALE, "Stale file handle")
        return super().finished()


class Table:
    """A run on a table of its own, with what a test wants to know of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.store = Refusing(folder / "store")
        sweep = load_sweep(write_sweep(folder))
        self.plan = make_plan(sweep, self.store, retry_failed=False)
        self.view = Told()
        self.build()

    def build(self, newcomers: Newcomers | None = None) -> None:
        """Make the run."""
        cluster: Any = OneMachine()
        never = Deadline.after(None)
        self.run = SweepRun(
            self.plan,
            self.store,
            str(self.store.root.parent),
            ONE_CPU,
            cluster,
            unbroken(self.view),
            never,
            lambda job: JobReport(),
            newcomers,
        )

    def hand_out(self, trial_id: str) -> JobConfig:
        config = self.run.next_config(trial_id)
        assert config is not None
        self.run.on_start(trial_id)
        return JobConfig(**config)

    def finish(self, job: JobConfig) -> JobReport:
        """What a worker does: rows first, then the report."""
        fingerprints = tuple(TRIAL.validate_json(trial).fingerprint for trial in job.trials)
        for fingerprint in fingerprints:
            self.store.add_result({"fingerprint": fingerprint}, [])
        return JobReport(fingerprints)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_a_job_carries_its_trials_as_their_rows_will_hold_them(table: Table) -> None:
    (teacher,) = table.hand_out("a").trials
    assert teacher == table.plan.trials[0].model_dump_json()


def test_the_whole_sweep_goes_from_hand_to_hand(table: Table) -> None:
    jobs = 0
    while not table.run.is_over:
        trial_id = f"t{jobs}"
        table.run.on_report(trial_id, table.finish(table.hand_out(trial_id)))
        table.run.tick()
        jobs += 1
    assert table.run.summary().finished == len(table.plan.trials) == 7
    assert jobs < 7


def test_what_tune_tells_while_the_store_refuses_is_settled_later(table: Table) -> None:
    table.hand_out("a")
    table.store.refusals = 3
    table.run.on_death("a", "The actor died because its node has died.")
    for _ in range(3):
        table.run.tick()
        assert table.store.failures().num_rows == 0
        assert not table.run.is_over
    table.run.tick()
    table.run.tick()
    (row,) = table.store.failures().to_pylist()
    assert row["cause"] == Cause.NODE_DIED.value
    assert [note for note in table.view.notes if "Stale" in note] == table.view.notes


def test_a_failure_that_its_worker_could_not_record_is_recorded_here(table: Table) -> None:
    job = table.hand_out("a")
    fingerprint = TRIAL.validate_json(job.trials[0]).fingerprint
    failure = Failure(Cause.DIVERGED, "DivergedError: nan", "trainer/x.py:1 in f", "trace")
    report = JobReport(failed={fingerprint: FailedTrial(failure, is_recorded=False)})
    table.run.on_report("a", report)
    table.run.tick()
    (row,) = table.store.failures().to_pylist()
    assert (row["error"], row["cause"], row["place"]) == (failure.error, "diverged", failure.place)
    assert table.run.state.failed == {fingerprint: failure}
    assert table.run.is_over
    summary = table.run.summary()
    assert (summary.failed, summary.blocked, summary.missing) == (1, 6, 0)


def test_an_error_of_our_own_ends_the_run_and_is_not_raised_into_tune(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = table.finish(table.hand_out("a"))

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(table.run._outcomes, "reported", broken)
    table.run.on_report("a", report)
    table.run.tick()
    assert table.run.is_over
    assert table.run.must_leave
    assert table.run.next_config("b") is None
    with pytest.raises(ValueError, match="a bug"):
        table.run._guard.raise_kept()


def test_a_bug_in_settling_is_met_once_and_holds_up_no_other_end(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = table.finish(table.hand_out("a"))
    table.run.on_report("a", report)
    table.run.tick()
    first, second = table.hand_out("b"), table.hand_out("c")
    settle, met = table.run._outcomes.reported, []

    def broken(job: Any, told: JobReport) -> None:
        met.append(job.number)
        if len(met) == 1:
            raise ValueError("a bug")
        settle(job, told)

    monkeypatch.setattr(table.run._outcomes, "reported", broken)
    table.run.on_report("b", table.finish(first))
    table.run.on_report("c", table.finish(second))
    for _ in range(3):
        table.run.tick()
    assert len(met) == 2
    assert table.run.summary().finished == 1 + len(second.trials)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def raises(error: BaseException) -> Callable[..., None]:
    def raising(*_: object) -> None:
        raise error

    return raising


NOT_SHOWN = {
    "full disk": OSError(errno.ENOSPC, "No space left on device"),
    "reader left": SystemExit(1),
    "in the middle of printing": RuntimeError("reentrant call inside <_io.BufferedWriter>"),
    "no such letter": UnicodeEncodeError("ascii", "\u2026", 0, 1, "ordinal not in range"),
}


@pytest.fixture(params=NOT_SHOWN.values(), ids=NOT_SHOWN)
def deaf(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """Nothing can be printed."""
    monkeypatch.setattr(Told, "note", raises(request.param))
    monkeypatch.setattr(Told, "tick", raises(request.param))
    return Table(tmp_path)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The trials whose workers were ended."""
    ended: list[str] = []
    monkeypatch.setattr(
        "orchestrator.driver.lookout.kill_worker",
        lambda _cluster, sign: ended.append(sign.fingerprint) or "its stack",
    )
    return ended


def test_a_hung_job_is_ended_though_nothing_can_be_printed(
    deaf: Table, killed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = deaf.hand_out("a")
    trial = TRIAL.validate_json(job.trials[0])
    deaf.store.signs.set_running(sign_of_life(trial, job.run_id, step=1, node="here"))
    monkeypatch.setattr("orchestrator.driver.sweep_run.SEE_EVERY_S", 0.0)
    monkeypatch.setattr("orchestrator.driver.sweep_run.LOOK_EVERY_S", 0.0)
    deaf.run.tick()
    deaf.run._lookout._watch._silence_s = -1.0
    deaf.run.tick()
    assert killed == [trial.fingerprint]
    deaf.run.on_death("a", "SIGKILL")
    deaf.run.tick()
    (row,) = deaf.store.failures().to_pylist()
    assert (row["cause"], row["traceback"]) == (Cause.HUNG.value, "its stack")


def test_a_deadline_and_a_signal_are_kept_though_nothing_can_be_printed(deaf: Table) -> None:
    deaf.hand_out("a")
    deaf.run._deadline = Deadline(stop_at=0.0, leave_at=math.inf)
    deaf.run.tick()
    assert deaf.run._scheduler.stopping
    assert deaf.store.stops.is_set(deaf.run._run_id)
    other = Table(deaf.store.root.parent / "other")
    other.run._stop_by_signal()
    assert other.run._scheduler.stopping


def test_the_workers_are_asked_to_save_before_that_is_told(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = table.hand_out("a")
    monkeypatch.setattr(table.view, "note", raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        table.run._stop_by_signal()
    assert table.store.stops.is_set(job.run_id)


def test_a_failure_is_recorded_once_however_often_its_end_is_settled(
    deaf: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf.run.on_report("a", deaf.finish(deaf.hand_out("a")))
    deaf.run.tick()
    jobs = {trial_id: deaf.hand_out(trial_id) for trial_id in ("b", "c")}
    trial_id, job = max(jobs.items(), key=lambda item: len(item[1].trials))
    assert len(job.trials) > 1
    add, tried = deaf.store.add_failure, []

    def full_at_the_second(row: Any) -> None:
        tried.append(row)
        if len(tried) == 2:
            no_space()
        add(row)

    monkeypatch.setattr(deaf.store, "add_failure", full_at_the_second)
    deaf.run.on_death(trial_id, "The actor died")
    for _ in range(3):
        deaf.run.tick()
    assert len(tried) == len(job.trials)
    assert deaf.store.failures().num_rows == len(job.trials) - 1


@pytest.fixture
def looking(table: Table, monkeypatch: pytest.MonkeyPatch) -> Table:
    """It looks at every tick, and bears a refusing store no longer than to the next one."""
    monkeypatch.setattr("orchestrator.driver.sweep_run.SEE_EVERY_S", 0.0)
    monkeypatch.setattr("orchestrator.driver.sweep_run.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("orchestrator.driver.guard.UNUSABLE_S", 0.0)
    return table


def test_a_store_that_can_be_read_but_not_written_is_noticed_and_nobody_hangs_for_it(
    looking: Table, killed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = looking.hand_out("a")
    trial = TRIAL.validate_json(job.trials[0])
    looking.store.signs.set_running(sign_of_life(trial, job.run_id, step=1, node="here"))
    looking.run.tick()
    read_only = raises(OSError(errno.EROFS, "Read-only file system"))
    for writer in (looking.store.signs._runs, looking.store.signs._running):
        monkeypatch.setattr(writer, "write", read_only)
    monkeypatch.setattr(looking.store.stops, "set", read_only)
    looking.run._lookout._watch._silence_s = -1.0
    for _ in range(4):
        looking.run.tick()
    assert killed == []
    with pytest.raises(StoreUnusableError, match="Read-only file system"):
        looking.run._guard.raise_kept()
    told = [note.partition(":")[0] for note in looking.view.notes]
    assert told == ["the store cannot be used", "the workers cannot be asked to save"]


def test_a_full_disk_is_borne_as_long_as_it_is_full(
    looking: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking.store.signs._runs, "write", no_space)
    for _ in range(4):
        looking.run.tick()
    looking.run._guard.raise_kept()
    assert looking.view.notes == []


def test_one_that_can_give_no_sign_on_a_full_disk_counts_as_hung(
    looking: Table, killed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = looking.hand_out("a")
    trial = TRIAL.validate_json(job.trials[0])
    looking.store.signs.set_running(sign_of_life(trial, job.run_id, step=1, node="here"))
    looking.run.tick()
    for kind in (looking.store.signs._runs, looking.store.signs._running):
        monkeypatch.setattr(kind, "write", no_space)
    looking.run.tick()
    assert killed == []
    looking.run._lookout._watch._silence_s = -1.0
    looking.run.tick()
    assert killed == [trial.fingerprint]
    assert not looking.run.must_leave


@pytest.mark.parametrize("limit", ["_silence_s", "_limit_s"])
def test_time_in_which_the_driver_was_stopped_is_neither_silence_nor_working_time(
    limit: str, looking: Table, killed: list[str]
) -> None:
    """It was stopped for an hour, perhaps with the worker; then it looks on, and the worker gives no sign."""
    now = [1000.0]
    looking.run._lookout._clock._source = lambda: now[0]
    looking.run._lookout._clock._looked_at = now[0]
    setattr(looking.run._lookout._watch, limit, 2 * LONGEST_STEP_S)
    job = looking.hand_out("a")
    trial = TRIAL.validate_json(job.trials[0])
    looking.store.signs.set_running(sign_of_life(trial, job.run_id, step=1, node="here"))
    looking.run.tick()
    now[0] += 3600.0
    looking.run.tick()
    assert killed == []
    for _ in range(2):
        now[0] += LONGEST_STEP_S
        looking.run.tick()
    assert killed == [trial.fingerprint]


def test_a_run_that_leaves_a_store_that_is_gone_ends_by_what_ended_it(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.hand_out("a")
    gone = raises(OSError(errno.ESTALE, "Stale file handle"))
    for kind in (table.store.signs._runs, table.store.signs._running):
        for operation in ("write", "read", "look", "look_at", "tidy"):
            monkeypatch.setattr(kind, operation, gone)
    monkeypatch.setattr(table.run, "_tune", raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        table.run.fit()


def test_a_driver_that_leaves_takes_its_own_sign_whatever_became_of_its_mark(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.run._claims.show()
    monkeypatch.setattr(table.store.stops, "clear", no_space)
    table.run._claims.end()
    assert table.store.signs.runs() == {}


def test_a_job_that_another_driver_has_claimed_meanwhile_is_given_back(table: Table) -> None:
    other = Table(table.store.root.parent)
    other.hand_out("a")
    assert table.run.next_config("b") is None
    assert not table.run.is_over


def test_a_job_whose_places_are_lost_is_handed_out_anew_and_no_other_is_stopped(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [Node("here", {"CPU": 2.0}), Node("there", {"CPU": 2.0})]
    monkeypatch.setattr(OneMachine, "nodes", lambda _: list(nodes))
    monkeypatch.setattr("orchestrator.driver.retries.FIRST_DELAY_S", 0.0)
    monkeypatch.setattr("orchestrator.driver.sweep_run.SEE_EVERY_S", 0.0)
    monkeypatch.setattr("orchestrator.driver.sweep_run.LOOK_EVERY_S", 0.0)
    left = table.hand_out("left")
    table.run.on_report("left", JobReport(node="here"))
    table.run.tick()
    waits = table.run.next_config("waits")
    assert waits is not None
    assert (waits["trials"], waits["avoid"]) == (left.trials, ("here",))
    table.run.tick()
    assert table.run.misplaced == frozenset()
    del nodes[1]
    table.run.tick()
    assert table.run.misplaced == {"waits"}
    assert not table.run.must_leave
    assert not table.store.stops.is_set(left.run_id)
    table.run.on_withdrawn("waits")
    again = table.hand_out("again")
    assert (again.trials, again.avoid) == (left.trials, ())
    table.run.tick()
    assert table.run.misplaced == frozenset()
    table.run.on_report("again", table.finish(again))
    table.run.tick()
    assert table.run.summary().finished == 1


class Doors:
    """Newcomers, as a run sees them."""

    question = None

    def __init__(self) -> None:
        self.fit = frozenset({"here"})
        self.closed: frozenset[str] = frozenset()
        self.is_hopeless = False

    def look(self) -> None:
        pass

    def refused(self, name: str, problems: tuple[str, ...]) -> None:
        self.closed |= {name}


@pytest.fixture
def doors(table: Table, monkeypatch: pytest.MonkeyPatch) -> Doors:
    """The table's run, once more, on a cluster that nodes join."""
    monkeypatch.setattr("orchestrator.driver.sweep_run.SEE_EVERY_S", 0.0)
    monkeypatch.setattr("orchestrator.driver.sweep_run.LOOK_EVERY_S", 0.0)
    doors: Any = Doors()
    table.build(doors)
    found: Doors = doors
    return found


def test_a_job_that_its_node_cannot_run_goes_elsewhere_and_no_attempt_is_counted(
    table: Table, doors: Doors
) -> None:
    first = table.hand_out("first")
    assert first.asked == ("here",)
    table.run.on_report("first", JobReport(node="bad", lacks=("no data",)))
    table.run.tick()
    assert table.store.failures().num_rows == 0
    assert not table.store.signs.running()
    again = table.hand_out("again")
    assert (again.trials, again.avoid) == (first.trials, ("bad",))
    table.run.on_report("again", table.finish(again))
    table.run.tick()
    assert table.run.summary().finished == 1


def test_what_waits_is_handed_out_anew_when_a_node_closes_or_opens(
    table: Table, doors: Doors
) -> None:
    assert table.run.next_config("a") is not None
    table.run.tick()
    assert table.run.misplaced == frozenset()
    doors.closed = frozenset({"bad"})
    table.run.tick()
    assert table.run.misplaced == {"a"}
    table.run.on_withdrawn("a")
    config = table.run.next_config("b")
    assert config is not None
    assert config["avoid"] == ("bad",)
    table.run.tick()
    assert table.run.misplaced == frozenset()
    doors.closed = frozenset()
    table.run.tick()
    assert table.run.misplaced == {"b"}


def test_a_run_on_which_every_node_that_comes_lacks_something_is_stopped(
    table: Table, doors: Doors
) -> None:
    job = table.hand_out("works")
    doors.is_hopeless = True
    table.run.tick()
    assert not table.run.must_leave, "something works"
    table.run.on_report("works", JobReport(node="bad", lacks=("no data",)))
    assert table.run.next_config("waits") is None
    table.run.tick()
    assert table.run.next_config("waits") is not None
    table.run.tick()
    assert table.run.must_leave
    assert table.store.stops.is_set(job.run_id)
    assert "each lacked something" in table.view.notes[-1]
