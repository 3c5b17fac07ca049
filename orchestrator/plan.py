"""From a sweep to its trials, and to what is still missing.

    trials = expand(sweep)                 # every trial once, what it depends on before it
    plan = make_plan(sweep, store)         # ... against what the store has

What sweeps, pairs or measures have in common is one trial, because it has one fingerprint: pairs with one
teacher share its T. stddev, and only cutmixpick_s, which needs a student's entropies, has one per pair.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.store import Store
from orchestrator.sweep import Pair, Sweep
from trainer.catalog import STUDENT_PICK, default_learning_rate
from trainer.trial import Data, StddevTrial, StudentTrial, TeacherTrial, Trial


def expand(sweep: Sweep) -> list[Trial]:
    """All trials of a sweep, without duplicates; each after what it depends on, seed by seed."""
    trials: dict[str, Trial] = {}
    for choice in sweep.dataset:
        for trial in _trials_on(sweep, choice.data):
            trials.setdefault(trial.fingerprint, trial)
    return list(trials.values())


def _trials_on(sweep: Sweep, data: Data) -> Iterator[Trial]:
    teachers = {pair.teacher: _teacher(sweep, data, pair.teacher) for pair in sweep.pairs}
    yield from teachers.values()
    for seed in sweep.seeds:
        for pair in sweep.pairs:
            teacher = teachers[pair.teacher].fingerprint
            for augmentation in sweep.augmentations:
                picks_by_student = augmentation == STUDENT_PICK
                student = _student(sweep, data, pair, teacher, augmentation, seed)
                if "s_test_loss" in sweep.measure or picks_by_student:
                    yield student
                if "t_stddev" in sweep.measure:
                    needed = student if picks_by_student else None
                    yield _stddev(sweep, data, pair, teacher, augmentation, seed, needed)


def _teacher(sweep: Sweep, data: Data, architecture: str) -> TeacherTrial:
    settings = sweep.teachers.model_dump(exclude={"learning_rate", "seed"})
    rate = sweep.teachers.learning_rate or default_learning_rate(architecture)
    return TeacherTrial(
        data=data,
        teacher=architecture,
        seed=sweep.teachers.seed,
        learning_rate=rate,
        **settings,
    )


def _student(
    sweep: Sweep, data: Data, pair: Pair, teacher: str, augmentation: str, seed: int
) -> StudentTrial:
    settings = sweep.student.model_dump(exclude={"learning_rate"})
    return StudentTrial(
        data=data,
        teacher=pair.teacher,
        teacher_fingerprint=teacher,
        student=pair.student,
        augmentation=augmentation,
        seed=seed,
        learning_rate=sweep.student.learning_rate or default_learning_rate(pair.student),
        **settings,
    )


def _stddev(
    sweep: Sweep,
    data: Data,
    pair: Pair,
    teacher: str,
    augmentation: str,
    seed: int,
    student: StudentTrial | None,
) -> StddevTrial:
    return StddevTrial(
        data=data,
        teacher=pair.teacher,
        teacher_fingerprint=teacher,
        augmentation=augmentation,
        seed=seed,
        student=student.student if student else None,
        student_fingerprint=student.fingerprint if student else None,
        student_cell=student.cell if student else None,
        **sweep.stddev.model_dump(),
    )


@dataclass(frozen=True)
class Plan:
    """A sweep's trials and which of them need not run.

    `done` are the fingerprints that have a result, `failed` map a fingerprint to the last error of the
    program that made it fail. `blocked` follow from those: what depends on a failed trial.
    """

    sweep: Sweep
    trials: tuple[Trial, ...]
    done: frozenset[str]
    failed: Mapping[str, str]

    @property
    def blocked(self) -> frozenset[str]:
        stuck = set(self.failed)
        for trial in self.trials:
            if trial.fingerprint not in self.done and stuck.intersection(trial.depends_on):
                stuck.add(trial.fingerprint)
        return frozenset(stuck.difference(self.failed))

    @property
    def missing(self) -> tuple[Trial, ...]:
        """What a run would run, in order."""
        stuck = self.blocked.union(self.failed, self.done)
        return tuple(t for t in self.trials if t.fingerprint not in stuck)

    def counts(self) -> dict[str, Counter[str]]:
        """Number of trials by kind, and by state: done, failed, blocked, missing."""
        blocked = self.blocked
        table: dict[str, Counter[str]] = {}
        for trial in self.trials:
            state = "missing"
            if trial.fingerprint in self.done:
                state = "done"
            elif trial.fingerprint in self.failed:
                state = "failed"
            elif trial.fingerprint in blocked:
                state = "blocked"
            table.setdefault(trial.kind, Counter())[state] += 1
        return table


def make_plan(sweep: Sweep, store: Store, *, retry_failed: bool) -> Plan:
    """A sweep against what the store has; `retry_failed` counts failed trials as missing."""
    trials = tuple(expand(sweep))
    wanted = {trial.fingerprint for trial in trials}
    failed = {} if retry_failed else store.program_failures()
    return Plan(
        sweep=sweep,
        trials=trials,
        done=store.finished() & wanted,
        failed={fp: error for fp, error in failed.items() if fp in wanted},
    )
