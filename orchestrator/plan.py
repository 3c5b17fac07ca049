"""From a sweep to its trials, and to what is still missing.

    trials = expand(sweep)                 # every trial once, what it depends on before it
    plan = make_plan(sweep, store)         # ... against what the store has

What sweeps, pairs or measures have in common is one trial, because it has one fingerprint: pairs with one
teacher share its T. stddev, and only cutmixpick_s, which needs a student's entropies, has one per pair.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from orchestrator.data import identified
from orchestrator.store import Store
from orchestrator.sweep import Pair, Sweep
from trainer.catalog import default_learning_rate, pick_of
from trainer.problems import UserError
from trainer.trial import (
    Data,
    PublishedCheckpoint,
    StddevTrial,
    StudentTrial,
    TeacherTrial,
    Trial,
)


def expand(sweep: Sweep) -> list[Trial]:
    """All trials of a sweep, without duplicates; each after what it depends on, seed by seed.

    Official data need not be there. Of images of one's own and of published checkpoints the content is
    the identity, so they are read; without its checkpoint, a teacher is one whose identity is unknown.

    Raises:
        UserError: images of one's own are missing or wrong, or too few for what is asked.
    """
    trials: dict[str, Trial] = {}
    for choice in sweep.dataset:
        for trial in _trials_on(sweep, identified(choice)):
            trials.setdefault(trial.fingerprint, trial)
    return list(trials.values())


def _trials_on(sweep: Sweep, data: Data) -> Iterator[Trial]:
    teachers = {pair.teacher: _teacher(sweep, data, pair.teacher) for pair in sweep.pairs}
    yield from teachers.values()
    for seed in sweep.seeds:
        for pair in sweep.pairs:
            teacher = teachers[pair.teacher].fingerprint
            for augmentation in sweep.augmentations:
                pick = pick_of(augmentation)
                picks_by_student = pick is not None and pick.needs_student
                student = _student(sweep, data, pair, teacher, augmentation, seed)
                if "s_test_loss" in sweep.measure or picks_by_student:
                    yield student
                if "t_stddev" in sweep.measure:
                    needed = student if picks_by_student else None
                    yield _stddev(sweep, data, pair, teacher, augmentation, seed, needed)


def _teacher(sweep: Sweep, data: Data, architecture: str) -> TeacherTrial:
    settings = sweep.teachers.model_dump(exclude={"learning_rate", "seed", "checkpoint"})
    rate = sweep.teachers.learning_rate or default_learning_rate(architecture)
    path = sweep.teachers.checkpoint_path(data.name, architecture)
    return TeacherTrial(
        data=data,
        teacher=architecture,
        seed=sweep.teachers.seed,
        learning_rate=rate,
        checkpoint=PublishedCheckpoint.of(path) if path else None,
        **settings,
    )


def _student(
    sweep: Sweep, data: Data, pair: Pair, teacher: str, augmentation: str, seed: int
) -> StudentTrial:
    settings = sweep.student
    prolonged = {
        "epochs": settings.epochs * settings.epoch_factor,
        "milestones": tuple(m * settings.epoch_factor for m in settings.milestones),
    }
    given = settings.model_dump(exclude={"learning_rate", "epoch_factor"})
    return StudentTrial(
        data=data,
        teacher=pair.teacher,
        teacher_fingerprint=teacher,
        student=pair.student,
        augmentation=augmentation,
        randomness=sweep.randomness,
        own_scheme=sweep.own_scheme(augmentation),
        seed=seed,
        learning_rate=settings.learning_rate or default_learning_rate(pair.student),
        **(given | prolonged),
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
    try:
        return StddevTrial(
            data=data,
            teacher=pair.teacher,
            teacher_fingerprint=teacher,
            augmentation=augmentation,
            randomness=sweep.randomness,
            own_scheme=sweep.own_scheme(augmentation),
            seed=seed,
            student=student.student if student else None,
            student_fingerprint=student.fingerprint if student else None,
            student_cell=student.cell if student else None,
            **sweep.stddev.model_dump(),
        )
    except ValidationError as error:
        raise UserError(f"{data.name}: {error.errors()[0]['msg']}") from error


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
    def absent_checkpoints(self) -> tuple[str, ...]:
        """Paths of published checkpoints that are not there."""
        teachers = (trial for trial in self.trials if isinstance(trial, TeacherTrial))
        given = (teacher.checkpoint for teacher in teachers)
        return tuple(c.path for c in given if c is not None and c.sha256 is None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed, but hardly meant."""
        found: dict[str, None] = {}
        for trial in self.trials:
            pick = pick_of(trial.augmentation)
            if pick is None or isinstance(trial, TeacherTrial):
                continue
            pool = pick.runs * trial.batch_size
            if trial.pick_size >= pool:
                found[
                    f"{trial.kind} {trial.augmentation}: a pick_size of {trial.pick_size} keeps the "
                    f"whole pool of {pick.runs} x {trial.batch_size} images: nothing is picked"
                ] = None
        return tuple(found)

    @property
    def unknown(self) -> frozenset[str]:
        """Placeholders of fingerprints that follow from absent checkpoints."""
        found: set[str] = set()
        for trial in self.trials:
            is_root = trial.kind == "teacher" and trial.checkpoint and not trial.checkpoint.sha256
            if is_root or found.intersection(trial.depends_on):
                found.add(trial.fingerprint)
        return frozenset(found)

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
