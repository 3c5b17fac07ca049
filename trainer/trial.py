"""A trial: one unit of work, and its identity.

There are three kinds. A `teacher` trial trains a teacher, a `student` trial distils a student from it and
yields S. test loss, a `stddev` trial only runs the teacher and yields T. stddev.

Identity. A trial's fingerprint is the SHA-256 of the canonical JSON of everything that can change its
result by more than the rounding of arithmetic, and of nothing else. What it depends on enters by its
fingerprint, so the trials form a Merkle DAG:

    teacher = TeacherTrial(data=data, teacher="resnet20", seed=0, learning_rate=0.05)
    student = StudentTrial(data=data, teacher="resnet20", teacher_fingerprint=teacher.fingerprint, ...)
    student.depends_on == (teacher.fingerprint,)

The rule for a new field: it enters the identity where it acts, and only there. A milestone beyond the last
epoch, or a pick size outside picks, is not hashed. Whoever changes what a trial computes raises
`SEMANTICS` of its kind, and no old result is reused.
"""

import hashlib
import json
import math
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from trainer.catalog import ARCHITECTURES, AUGMENTATIONS, DATASETS, PICKS, STUDENT_PICK

Architecture = Literal[ARCHITECTURES]  # type: ignore[valid-type]
Augmentation = Literal[AUGMENTATIONS]  # type: ignore[valid-type]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1, le=2**31)]
Rate = Annotated[float, Field(gt=0)]
Precision = Literal["fp32"]


def canonical_json(value: Any) -> str:
    """The one written form of a JSON value: sorted keys, no spaces, no NaN.

    Raises:
        TypeError: the value has no JSON form.
        ValueError: it holds a NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (64 hexadecimal digits) of a JSON value's canonical form."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class Frozen(BaseModel):
    """A value object: never changed, no unknown fields, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Frozen):
    """What a trial trains and tests on: a data set, or the first images of each class of one.

    `checksum` identifies the whole; with the two counts it identifies the images used, so that a cut-down
    data set can be planned without reading it.
    """

    name: str
    checksum: Fingerprint
    train_images: Count
    test_images: Count

    @classmethod
    def official(
        cls, name: str, train_images: int | None = None, test_images: int | None = None
    ) -> Self:
        """A data set of the catalog, whole or cut down."""
        facts = DATASETS[name]
        return cls(
            name=name,
            checksum=facts.checksum,
            train_images=train_images or facts.train_images,
            test_images=test_images or facts.test_images,
        )


class Training(Frozen):
    """SGD with a step schedule (PAPER.md, section 6); the defaults are the paper's."""

    epochs: Count = 240
    batch_size: Count = 64
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    milestones: tuple[Count, ...] = (150, 180, 210)
    decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    precision: Precision = "fp32"


class Distillation(Training):
    """One distillation (PAPER.md, sections 3 and 4); the defaults are the paper's."""

    temperature: Annotated[float, Field(gt=0)] = 4.0
    label_weight: Annotated[float, Field(ge=0)] = 0.1
    distillation_weight: Annotated[float, Field(ge=0)] = 0.9
    pick_size: Count = 64


class Measurement(Frozen):
    """One measurement of T. stddev (PAPER.md, section 5); the defaults are the paper's."""

    epochs: Count = 10
    batch_size: Count = 64
    batches_per_window: Count = 5
    pick_size: Count = 64
    precision: Precision = "fp32"


class _Trial(Frozen):
    SEMANTICS: ClassVar[int]
    RECORDED_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not hashed."""

    data: Data
    teacher: Architecture
    seed: Seed

    @property
    def dataset(self) -> str:
        return self.data.name

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that is hashed, as a JSON value."""
        return {**self._acting_fields(), "semantics": self.SEMANTICS}

    @cached_property
    def fingerprint(self) -> str:
        return digest(self.identity)

    @cached_property
    def cell(self) -> str:
        """The key of the cell: equal for trials that differ in the seed only."""
        return digest(self._identity_without_seeds())

    def _identity_without_seeds(self) -> dict[str, Any]:
        return {key: value for key, value in self.identity.items() if key != "seed"}

    def _acting_fields(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude=set(self.RECORDED_ONLY))


def _acting_schedule(trial: Training, fields: dict[str, Any]) -> dict[str, Any]:
    """Without the milestones that no epoch passes, and without a decay that never acts."""
    acting = sorted(m for m in trial.milestones if m < trial.epochs)
    idle = {"milestones"} if acting else {"milestones", "decay"}
    return {k: v for k, v in fields.items() if k not in idle} | {"milestones": acting}


def _without_idle_pick(augmentation: str, fields: dict[str, Any]) -> dict[str, Any]:
    idle = set() if augmentation in PICKS else {"pick_size"}
    return {k: v for k, v in fields.items() if k not in idle}


class TeacherTrial(_Trial, Training):
    """Train a teacher by cross-entropy."""

    SEMANTICS: ClassVar[int] = 1
    kind: Literal["teacher"] = "teacher"
    learning_rate: Rate

    @property
    def depends_on(self) -> tuple[str, ...]:
        return ()

    @property
    def student(self) -> None:
        return None

    @property
    def augmentation(self) -> None:
        return None

    def _acting_fields(self) -> dict[str, Any]:
        return _acting_schedule(self, super()._acting_fields())


class StudentTrial(_Trial, Distillation):
    """Distil a student with one augmentation: its test loss at the last epoch is S. test loss."""

    SEMANTICS: ClassVar[int] = 1
    kind: Literal["student"] = "student"
    teacher_fingerprint: Fingerprint
    student: Architecture
    augmentation: Augmentation
    learning_rate: Rate

    @property
    def depends_on(self) -> tuple[str, ...]:
        return (self.teacher_fingerprint,)

    def _acting_fields(self) -> dict[str, Any]:
        fields = _acting_schedule(self, super()._acting_fields())
        return _without_idle_pick(self.augmentation, fields)


class StddevTrial(_Trial, Measurement):
    """Run the teacher over one augmentation's images: yields T. stddev.

    Only cutmixpick_s takes a student: the one whose entropies it picks by.
    """

    SEMANTICS: ClassVar[int] = 1
    RECORDED_ONLY: ClassVar[frozenset[str]] = frozenset({"student_cell"})
    kind: Literal["stddev"] = "stddev"
    teacher_fingerprint: Fingerprint
    augmentation: Augmentation
    student: Architecture | None = None
    student_fingerprint: Fingerprint | None = None
    student_cell: Fingerprint | None = None

    @model_validator(mode="after")
    def _has_its_student(self) -> Self:
        given = [self.student, self.student_fingerprint, self.student_cell]
        needed = self.augmentation == STUDENT_PICK
        if any((value is not None) != needed for value in given):
            raise ValueError(
                f"a stddev trial takes a student, with fingerprint and cell, for {STUDENT_PICK} only"
            )
        return self

    @model_validator(mode="after")
    def _has_two_windows(self) -> Self:
        if self.num_windows < 2:
            steps = steps_per_epoch(self)
            raise ValueError(
                f"T. stddev needs 2 windows or more: {self.epochs} epochs of {steps} steps make "
                f"{self.num_windows} of {self.batches_per_window} batches"
            )
        return self

    @property
    def num_windows(self) -> int:
        """Complete windows in the whole run."""
        return self.epochs * steps_per_epoch(self) // self.batches_per_window

    @property
    def depends_on(self) -> tuple[str, ...]:
        if self.student_fingerprint is None:
            return (self.teacher_fingerprint,)
        return (self.teacher_fingerprint, self.student_fingerprint)

    def _acting_fields(self) -> dict[str, Any]:
        return _without_idle_pick(self.augmentation, super()._acting_fields())

    def _identity_without_seeds(self) -> dict[str, Any]:
        return {**super()._identity_without_seeds(), "student_fingerprint": self.student_cell}


Trial = TeacherTrial | StudentTrial | StddevTrial

TRIAL: TypeAdapter[Trial] = TypeAdapter(Annotated[Trial, Field(discriminator="kind")])
"""Reads any kind of trial from JSON-like data: `TRIAL.validate_python(mapping)`."""


def steps_per_epoch(trial: Trial) -> int:
    """Steps in one epoch; the last, partial batch counts."""
    return math.ceil(trial.data.train_images / trial.batch_size)


def lockstep_key(trial: Trial) -> tuple[object, ...]:
    """Trials with equal keys see the same batches and the same teacher, so they can share a group.

    Teachers train alone; students and stddev trials do not mix.
    """
    if trial.kind == "teacher":
        return (trial.fingerprint,)
    return (
        trial.kind,
        trial.data,
        trial.teacher_fingerprint,
        trial.seed,
        trial.batch_size,
        trial.precision,
    )
