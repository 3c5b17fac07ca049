"""Finished trials computed once more: beside the store first, and into it only when all is done.

    STORE/again/        a store of its own, with what is repeated and copies of the weights that this needs

The store itself is not touched while trials run. A repetition that was killed goes on when it is asked for again:
what it has finished lies in its own store. In the end what came out is compared, bit for bit, with what was
there; then weights, curves and rows are put in their place, and the other store is emptied.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from orchestrator.planning.lost_weights import needed_weights
from orchestrator.planning.plan import Plan, unheard
from orchestrator.planning.words import describe
from orchestrator.store.failures import Failure
from orchestrator.store.store import Store
from orchestrator.upkeep.differences import Results, compared
from trainer.files import Folder
from trainer.positions import FINAL
from trainer.problems import UserError
from trainer.trial import Trial

FOLDER = "again"
MOST_TOLD = 20
"""So many trials that differ are told of one by one."""


@dataclass(frozen=True)
class Outcome:
    """What a repetition found. `results` are by trial; of `replaced` ones a killed repetition has told already."""

    results: tuple[tuple[Trial, Results], ...]
    replaced: int
    failed: tuple[tuple[Trial, Failure], ...]
    left: int
    """Those that could not run, as what they depend on failed."""

    def lines(self) -> Iterator[str]:
        """In words, the sum first."""
        different = [(t, found) for t, found in self.results if not found.has_equal_bits]
        total = len(self.results)
        told = f"repeated {total} trials: {total - len(different)} equal in every bit"
        if different:
            told += f", {len(different)} different"
        if self.replaced:
            told += f"; {self.replaced} more were repeated and replaced before"
        yield told
        sized = [(abs(g.size or 0.0), t, g) for t, found in different if (g := found.greatest)]
        if sized:
            _, trial, greatest = max(sized, key=lambda one: one[0])
            yield f"the greatest difference: {_named(trial)}: {greatest}"
        for trial, found in different[:MOST_TOLD]:
            yield f"different: {_named(trial)}: {_parts(found)}"
        if len(different) > MOST_TOLD:
            yield f"and {len(different) - MOST_TOLD} more"
        for trial, failure in self.failed:
            yield f"failed: {_named(trial)}: {failure}; what was there stays"
        if self.left:
            yield f"{self.left} trials that depend on them were not repeated"


def _named(trial: Trial) -> str:
    return f"{describe([trial])} ({trial.fingerprint[:12]})"


def _parts(found: Results) -> str:
    parts = [difference.field for difference in found.metrics]
    parts += ["learning curve"] * (not found.is_curve_equal)
    parts += ["weights"] * (found.are_weights_equal is False)
    return ", ".join(parts)


class Repetition:
    """Some finished trials of a plan, once more.

    Args:
        plan: of a sweep against its store.
        store: that store.
        wanted: fingerprints of what is to be repeated; what is not finished among them is left out.
        tell: hears of what is waited for, where somebody of another machine may be at it.

    Raises:
        UserError: none of them is finished, or somebody repeats trials of this store already.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        wanted: Collection[str],
        tell: Callable[[str], None] = unheard,
    ) -> None:
        self._store = store
        self.whole = plan
        """All trials of the sweep."""
        self.beside = Store(f"{store.address}/{FOLDER}")
        """The store in which they run."""
        again = plan.done.intersection(wanted)
        if not again:
            raise UserError(
                f"--again: no trial of {plan.sweep.name} that is asked for has finished"
            )
        for other in self.beside.signs.known_runs(tell).values():
            raise UserError(
                f"--again: trials of this store are being repeated already, on {other.host} (process "
                f"{other.process.pid}, since {other.started_at})"
            )
        needed = needed_weights(plan.trials, again, plan.done, store)
        self._again = again | needed.lost
        self._borrowed = needed.all - self._again
        trials = tuple(t for t in plan.trials if t.fingerprint in self._again | self._borrowed)
        self._trials = tuple(t for t in trials if t.fingerprint in self._again)
        finished = self._again & self.beside.finished()
        self.plan = replace(
            plan,
            trials=trials,
            done=self._borrowed | finished,
            failed={},
            failed_by_machine={},
            lost=frozenset(),
        )
        """What is to run there: of what is repeated, what a killed repetition has not finished."""

    @contextmanager
    def weights_lent(self) -> Iterator[None]:
        """Meanwhile, copies of the weights that repeated trials need of others lie in the store beside."""
        folders = {fp: self.beside.checkpoint_folder(fp) for fp in sorted(self._borrowed)}
        try:
            for fingerprint, folder in folders.items():
                folder.write(FINAL, self._store.checkpoint_folder(fingerprint).read(FINAL))
            yield
        finally:
            for folder in folders.values():
                with suppress(OSError):
                    folder.remove(FINAL)
                    folder.tidy()

    def settle(self, tell: Callable[[str], None]) -> Outcome:
        """Compare what has finished, tell of it, put it in its place, and empty the store beside.

        Raises:
            UserError: something of either store is damaged; nothing was replaced.
        """
        outcome = self._outcome()
        # Before anything is replaced: whoever is killed from here on has been told.
        for line in outcome.lines():
            tell(line)
        self._replace()
        _empty(self.beside.folder)
        return outcome

    def _outcome(self) -> Outcome:
        finished = self._again & self.beside.finished()
        before, after = _jobs(self._store, finished), _jobs(self.beside, finished)
        both = [t for t in self._trials if t.fingerprint in before.keys() & after.keys()]
        new = [t for t in both if before[t.fingerprint] != after[t.fingerprint]]
        results = tuple((t, self._compared(t.fingerprint)) for t in new)
        failures = self.beside.rows.last_failures()
        failed = tuple(
            (t, failures[t.fingerprint])
            for t in self._trials
            if t.fingerprint in failures and t.fingerprint not in finished
        )
        left = len(self._again) - len(finished) - len(failed)
        return Outcome(results, len(both) - len(new), failed, left)

    def _compared(self, fingerprint: str) -> Results:
        return compared(self._store, fingerprint, self.beside, fingerprint)

    def _replace(self) -> None:
        finished = sorted(self._again & self.beside.finished())
        for fingerprint in finished:
            self._replace_weights(fingerprint)
        rows = {row["fingerprint"]: row for row in self.beside.results(finished).to_pylist()}
        curves: dict[str, list[dict[str, object]]] = {}
        for row in self.beside.rows.epochs(finished).to_pylist():
            curves.setdefault(row["fingerprint"], []).append(row)
        self._store.rows.replace_results(rows, curves)

    def _replace_weights(self, fingerprint: str) -> None:
        """Written in one step; where they are the same, nothing is."""
        mine = self._store.checkpoint_folder(fingerprint)
        theirs = self.beside.checkpoint_folder(fingerprint)
        if FINAL not in theirs.names():
            return
        new = theirs.read(FINAL)
        if FINAL not in mine.names() or mine.read(FINAL) != new:
            mine.write(FINAL, new)


def _jobs(store: Store, fingerprints: Collection[str]) -> dict[str, object]:
    """By which job each row was made, and when."""
    rows = store.results(fingerprints, ("fingerprint", "job_id", "finished_at")).to_pylist()
    return {row["fingerprint"]: (row["job_id"], row["finished_at"]) for row in rows}


def _empty(folder: Folder) -> None:
    """Remove all files below; links are none of ours, and stay."""
    for name in folder.folders():
        _empty(folder.folder(name))
    for name in folder.names():
        folder.remove(name)
    folder.tidy()
