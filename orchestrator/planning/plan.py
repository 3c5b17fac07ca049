"""From a sweep to its trials, and to what is still missing.

    trials = expand(sweep)                 # every trial once, what it depends on before it
    plan = make_plan(sweep, store)         # ... against what the store has

What sweeps, pairs or measures have in common is one trial, because it has one fingerprint: pairs with one
teacher share its T. stddev, and only cutmixpick_s, which needs a student's entropies, has one per pair.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.language.resources import SECTIONS, job_kind
from orchestrator.language.settings import Pair, StudentSettings, TeacherSettings
from orchestrator.language.sweep import Sweep
from orchestrator.language.variations import Hyperparameters, Point
from orchestrator.planning.data import identified
from orchestrator.planning.guests import Guests, built
from orchestrator.planning.hardly_meant import hardly_meant
from orchestrator.planning.kept_points import with_kept_points
from orchestrator.planning.last_batch import batch_of_one
from orchestrator.store.failures import Failure
from orchestrator.store.store import Store
from trainer.catalog import default_learning_rate, pick_of
from trainer.pins import check_pin
from trainer.problems import PlacedError, UserError, message_of
from trainer.trial import (
    Data,
    Distillation,
    GuestModel,
    OwnFile,
    PredictorTrial,
    PublishedCheckpoint,
    StddevTrial,
    StudentTrial,
    TeacherTrial,
    Trial,
    Watching,
)


def unheard(line: str) -> None:
    pass


def expand(
    sweep: Sweep, note: Callable[[str], None] = unheard, guests: Guests = built
) -> list[Trial]:
    """All trials of a sweep, without duplicates; each after what it depends on, seed by seed.

    Official data need not be there. Of images of one's own and of published checkpoints the content is
    the identity, so they are read; without its checkpoint, a teacher is one whose identity is unknown.
    `note` hears of what was passed over among images of one's own; `guests` finds models of one's own.

    Raises:
        UserError: images of one's own are missing or wrong, or too few for what is asked; a model of one's own
            cannot be trained; or nothing is left to run.
    """
    trials = trials_of(sweep, note, guests)
    for trial in trials:
        if problem := batch_of_one(trial):
            raise PlacedError(f"{sweep.name}: {SECTIONS[job_kind(trial)]}", problem)
    return trials


def trials_of(
    sweep: Sweep, note: Callable[[str], None] = unheard, guests: Guests = built
) -> list[Trial]:
    """The same of a sweep that need not run any more: also trials that can only fail.

    Raises:
        UserError: as `expand` does.
    """
    trials: dict[str, Trial] = {}
    for choice in sweep.dataset:
        data = identified(choice, note)
        found = guests(sweep, data)
        for variation in sweep.variations:
            for trial in _Expansion(sweep, data, found, variation).trials():
                trials.setdefault(trial.fingerprint, trial)
    if not trials:
        raise UserError(f"{sweep.name}: no trials are left by include and exclude")
    return sorted(trials.values(), key=_order)


def _order(trial: Trial) -> tuple[bool, int]:
    """Teachers first, then seed by seed; trials of one seed stay as they are."""
    return trial.kind != "teacher", trial.seed if trial.kind != "teacher" else 0


class _Expansion:
    """The trials of one data set under one variation of grid and search."""

    def __init__(
        self,
        sweep: Sweep,
        data: Data,
        guests: Mapping[str, GuestModel],
        variation: Mapping[str, Any],
    ) -> None:
        self._sweep = sweep
        self._data = data
        self._guests = guests
        self._base = sweep.hyperparameters.with_settings(variation)
        self._overridden: dict[tuple[int, ...], Hyperparameters] = {}
        self._teachers: dict[str, TeacherTrial] = {}
        self._starts: dict[Path, PublishedCheckpoint] = {}

    def trials(self) -> Iterator[Trial]:
        """Each after what it depends on."""
        sweep = self._sweep
        for seed, pair in itertools.product(sweep.seeds, sweep.pairs):
            for augmentation in sweep.augmentations:
                point = Point(self._data.name, pair, augmentation, seed)
                if sweep.wants(point):
                    yield from self._at(point)

    def _hyperparameters(self, point: Point) -> Hyperparameters:
        overrides = self._sweep.overrides
        acting = tuple(i for i, rule in enumerate(overrides) if rule.where.matches(point))
        if acting not in self._overridden:
            settings = {k: v for i in acting for k, v in overrides[i].set.items()}
            self._overridden[acting] = self._base.with_settings(settings)
        return self._overridden[acting]

    def _at(self, point: Point) -> Iterator[Trial]:
        """What a point needs, each trial after what it depends on."""
        hyper, measure = self._hyperparameters(point), self._sweep.measure
        teacher = self._teacher(hyper.teachers, point.pair.teacher)
        yield teacher
        pick = pick_of(point.augmentation)
        picks_by_student = pick is not None and pick.needs_student
        student = None
        if "s_test_loss" in measure or picks_by_student:
            student = self._student(hyper, point, teacher)
            yield student
        if "t_stddev" in measure:
            yield self._stddev(hyper, point, teacher, student if picks_by_student else None)
        for file in self._sweep.predictors:
            for name in file.names:
                picking = student if picks_by_student else None
                yield self._predictor(hyper, point, teacher, picking, name, file.as_own())

    def _teacher(self, settings: TeacherSettings, architecture: str) -> TeacherTrial:
        """One teacher for all the points of its architecture."""
        if architecture not in self._teachers:
            given = settings.model_dump(exclude={"learning_rate", "checkpoint"})
            path = settings.checkpoint_path(self._data.name, architecture)
            self._teachers[architecture] = TeacherTrial(
                data=self._data,
                teacher_model=self._guests.get(architecture),
                teacher=architecture,
                learning_rate=settings.learning_rate or default_learning_rate(architecture),
                checkpoint=_published(path, "teachers") if path else None,
                **given,
            )
        return self._teachers[architecture]

    def _student(self, hyper: Hyperparameters, point: Point, teacher: TeacherTrial) -> StudentTrial:
        settings, architecture = hyper.student, point.pair.student
        given = {name: getattr(settings, name) for name in Distillation.model_fields}
        prolonged = {
            "epochs": settings.epochs * settings.epoch_factor,
            "milestones": tuple(m * settings.epoch_factor for m in settings.milestones),
            "method_options": self._sweep.method_options(settings),
        }
        with self._as_the_sweep_s_mistake():
            return StudentTrial(
                data=self._data,
                teacher_model=teacher.teacher_model,
                teacher=point.pair.teacher,
                teacher_fingerprint=teacher.fingerprint,
                student_model=self._guests.get(architecture),
                student=architecture,
                augmentation=point.augmentation,
                randomness=hyper.randomness,
                own_scheme=self._sweep.own_scheme(point.augmentation),
                own_method=self._sweep.own_method(settings.method),
                checkpoint=self._start(settings, point.pair),
                seed=point.seed,
                learning_rate=settings.learning_rate or default_learning_rate(architecture),
                **(given | prolonged),
            )

    def _start(self, settings: StudentSettings, pair: Pair) -> PublishedCheckpoint | None:
        """The weights that a student begins with, of a file that is read once."""
        path = settings.checkpoint_path(self._data.name, pair)
        if path is None:
            return None
        if path not in self._starts:
            self._starts[path] = _published(path, "student")
        return self._starts[path]

    def _stddev(
        self,
        hyper: Hyperparameters,
        point: Point,
        teacher: TeacherTrial,
        student: StudentTrial | None,
    ) -> StddevTrial:
        with self._as_the_sweep_s_mistake():
            return StddevTrial(
                **self._watched(hyper, point, teacher, student),
                batches_per_window=hyper.stddev.batches_per_window,
            )

    def _predictor(
        self,
        hyper: Hyperparameters,
        point: Point,
        teacher: TeacherTrial,
        student: StudentTrial | None,
        name: str,
        file: OwnFile,
    ) -> PredictorTrial:
        with self._as_the_sweep_s_mistake():
            return PredictorTrial(
                **self._watched(hyper, point, teacher, student), predictor=name, own_predictor=file
            )

    def _watched(
        self,
        hyper: Hyperparameters,
        point: Point,
        teacher: TeacherTrial,
        student: StudentTrial | None,
    ) -> dict[str, Any]:
        """What all trials have that only run a teacher."""
        settings = hyper.stddev
        return {
            "data": self._data,
            "teacher_model": teacher.teacher_model,
            "teacher": point.pair.teacher,
            "teacher_fingerprint": teacher.fingerprint,
            "augmentation": point.augmentation,
            "randomness": hyper.randomness,
            "own_scheme": self._sweep.own_scheme(point.augmentation),
            "seed": point.seed,
            "student_model": student.student_model if student else None,
            "student": student.student if student else None,
            "student_fingerprint": student.fingerprint if student else None,
            "student_cell": student.cell if student else None,
            **{name: getattr(settings, name) for name in Watching.model_fields},
        }

    @contextmanager
    def _as_the_sweep_s_mistake(self) -> Iterator[None]:
        """What no trial can be is the sweep's mistake."""
        try:
            yield
        except ValidationError as error:
            details = error.errors()[0]
            key = ".".join(map(str, details["loc"]))
            where = f"{self._sweep.name}: {key}" if key else self._sweep.name
            raise PlacedError(where, message_of(details)) from error


def _published(path: Path, section: str) -> PublishedCheckpoint:
    """A published checkpoint, or the place of one that is not there yet; raises UserError of what is none."""
    placed = f"{section}.checkpoint: {path}"
    if path.is_dir():
        raise PlacedError(
            placed,
            "a folder; expected the file with the weights, in whose path {teacher} and {dataset} may stand",
        )
    try:
        published = PublishedCheckpoint.of(path)
        if published.sha256 is not None:
            check_pin(path, published.sha256)
    except OSError as error:
        raise PlacedError(placed, f"cannot be read: {error.strerror}") from error
    return published


def absent_checkpoints(trials: Iterable[Trial]) -> tuple[str, ...]:
    """Paths of published checkpoints that are not there, each once."""
    given = (trial.checkpoint for trial in trials if isinstance(trial, TeacherTrial | StudentTrial))
    return tuple(dict.fromkeys(c.path for c in given if c is not None and c.sha256 is None))


@dataclass(frozen=True)
class Plan:
    """A sweep's trials and which of them need not run.

    `done` are the fingerprints that have a result, `failed` map the fingerprint of what failed by an error
    of the program to its last failure. `blocked` follow from those: what depends on a failed trial. What
    `failed_by_machine` any run tries again, so it is missing.
    """

    sweep: Sweep
    trials: tuple[Trial, ...]
    done: frozenset[str]
    failed: Mapping[str, Failure]
    failed_by_machine: Mapping[str, Failure] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    """What has a result, but must run again: its weights are gone, and what is missing needs them."""
    ignored: tuple[str, ...] = ()
    """Lines about files that lie among images of one's own and are none."""

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
        return absent_checkpoints(self.trials)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed, but hardly meant."""
        lost = (
            f"{t.kind} {t.student or t.teacher} {t.fingerprint[:12]} runs again: "
            "its weights are gone, and what is missing needs them"
            for t in self.trials
            if t.fingerprint in self.lost
        )
        return (*self.ignored, *hardly_meant(self.sweep, self.trials), *lost)

    @property
    def unknown(self) -> frozenset[str]:
        """Placeholders of fingerprints that follow from absent checkpoints."""
        placeholders: set[str] = set()
        for trial in self.trials:
            start = trial.checkpoint if isinstance(trial, TeacherTrial | StudentTrial) else None
            is_root = start is not None and start.sha256 is None
            if is_root or placeholders.intersection(trial.depends_on):
                placeholders.add(trial.fingerprint)
        return frozenset(placeholders)

    @property
    def missing(self) -> tuple[Trial, ...]:
        """What a run would run, in order."""
        stuck = self.blocked.union(self.failed, self.done)
        return tuple(t for t in self.trials if t.fingerprint not in stuck)


def make_plan(sweep: Sweep, store: Store, *, retry_failed: bool, guests: Guests = built) -> Plan:
    """A sweep against what the store has; `retry_failed` counts failed trials as missing."""
    ignored: list[str] = []
    sweep = with_kept_points(sweep, store, ignored.append)
    trials = tuple(expand(sweep, ignored.append, guests))
    wanted = {trial.fingerprint for trial in trials}
    # In this order: what finishes in between is done, and no failure.
    last = store.rows.last_failures()
    done = store.finished() & wanted
    left = {fp: failure for fp, failure in last.items() if fp in wanted - done}
    return Plan(
        sweep=sweep,
        trials=trials,
        done=done,
        failed={
            fp: failure
            for fp, failure in left.items()
            if not (failure.cause.by_machine or retry_failed)
        },
        failed_by_machine={fp: failure for fp, failure in left.items() if failure.cause.by_machine},
        ignored=tuple(ignored),
    )
