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

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False)


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


class _Trial(Frozen):
    SEMANTICS: ClassVar[int]
    PROVENANCE: ClassVar[frozenset[str]] = frozenset()
    """Fields that are recorded, but not hashed."""

    kind: str
    data: Data
    teacher: Architecture
    seed: Seed
    batch_size: Count = 64
    precision: Literal["fp32"] = "fp32"

    @property
    def dataset(self) -> str:
        return self.data.name

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one epoch; the last, partial batch counts."""
        return math.ceil(self.data.train_images / self.batch_size)

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

    def _idle_fields(self) -> set[str]:
        """Fields that do not act in this trial."""
        return set()

    def _acting_fields(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude=self._idle_fields() | self.PROVENANCE)


class _TrainedTrial(_Trial):
    """SGD with a step schedule (PAPER.md, section 6)."""

    epochs: Count = 240
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    milestones: tuple[Count, ...] = (150, 180, 210)
    decay: Annotated[float, Field(gt=0, le=1)] = 0.1

    def _acting_fields(self) -> dict[str, Any]:
        fields = super()._acting_fields()
        fields["milestones"] = sorted(m for m in self.milestones if m < self.epochs)
        if not fields["milestones"]:
            del fields["decay"]
        return fields


class TeacherTrial(_TrainedTrial):
    """Train a teacher by cross-entropy."""

    SEMANTICS: ClassVar[int] = 1
    kind: Literal["teacher"] = "teacher"

    @property
    def depends_on(self) -> tuple[str, ...]:
        return ()

    @property
    def student(self) -> None:
        return None

    @property
    def augmentation(self) -> None:
        return None


class StudentTrial(_TrainedTrial):
    """Distil a student with one augmentation: its test loss at the last epoch is S. test loss."""

    SEMANTICS: ClassVar[int] = 1
    kind: Literal["student"] = "student"
    teacher_fingerprint: Fingerprint
    student: Architecture
    augmentation: Augmentation
    temperature: Annotated[float, Field(gt=0)] = 4.0
    label_weight: Annotated[float, Field(ge=0)] = 0.1
    distillation_weight: Annotated[float, Field(ge=0)] = 0.9
    pick_size: Count = 64

    @property
    def depends_on(self) -> tuple[str, ...]:
        return (self.teacher_fingerprint,)

    def _idle_fields(self) -> set[str]:
        return set() if self.augmentation in PICKS else {"pick_size"}


class StddevTrial(_Trial):
    """Run the teacher over one augmentation's images: yields T. stddev (PAPER.md, section 5)."""

    SEMANTICS: ClassVar[int] = 1
    PROVENANCE: ClassVar[frozenset[str]] = frozenset({"student_cell"})
    kind: Literal["stddev"] = "stddev"
    teacher_fingerprint: Fingerprint
    augmentation: Augmentation
    epochs: Count = 10
    batches_per_window: Count = 5
    pick_size: Count = 64
    student: Architecture | None = None
    student_fingerprint: Fingerprint | None = None
    student_cell: Fingerprint | None = None

    @model_validator(mode="after")
    def _needs_its_student(self) -> Self:
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
            raise ValueError(
                f"T. stddev needs 2 windows or more: {self.epochs} epochs of {self.steps_per_epoch} steps "
                f"make {self.num_windows} of {self.batches_per_window} batches"
            )
        return self

    @property
    def num_windows(self) -> int:
        """Complete windows in the whole run."""
        return self.epochs * self.steps_per_epoch // self.batches_per_window

    @property
    def depends_on(self) -> tuple[str, ...]:
        if self.student_fingerprint is None:
            return (self.teacher_fingerprint,)
        return (self.teacher_fingerprint, self.student_fingerprint)

    def _idle_fields(self) -> set[str]:
        return set() if self.augmentation in PICKS else {"pick_size"}

    def _identity_without_seeds(self) -> dict[str, Any]:
        return {**super()._identity_without_seeds(), "student_fingerprint": self.student_cell}


Trial = TeacherTrial | StudentTrial | StddevTrial

TRIAL: TypeAdapter[Trial] = TypeAdapter(Annotated[Trial, Field(discriminator="kind")])
"""Reads any kind of trial from JSON-like data: `TRIAL.validate_python(mapping)`."""


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
