"""A trial: one unit of work, and its identity.

There are four kinds. A `teacher` trial trains a teacher, a `student` trial distils a student from it and
yields S. test loss, a `stddev` trial only runs the teacher and yields T. stddev, and so does a `predictor` trial, which
yields a statistic of a researcher's own.

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
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from trainer.catalog import (
    ARCHITECTURES,
    BASE_SCHEMES,
    DATASETS,
    FORMATS,
    base_of,
    library_of,
    pick_of,
)
from trainer.options import METHODS, Options, checked_weights, completed, options_of
from trainer.problems import did_you_mean, shortened

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Checksum = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]


def _number(value: object) -> object:
    """Neither true nor '32' is a number, nor what looks like one but is written otherwise."""
    if isinstance(value, bool | str):
        looks_like_one = isinstance(value, str) and value[:1] in "+-.0123456789" and value
        how = "; numbers are written as in 10, 0.05 or 5e-4" if looks_like_one else ""
        told = shortened(repr(value))
        raise PydanticCustomError(
            "mistake", "expected a number, not {value}{how}", {"value": told, "how": how}
        )
    return value


Number = BeforeValidator(_number)
Seed = Annotated[int, Field(ge=0, lt=2**63), Number]
Count = Annotated[int, Field(ge=1, le=2**31), Number]
Rate = Annotated[float, Field(gt=0), Number]


def _without_sign(value: float) -> float:
    """-0.0 is 0.0, and no other trial."""
    return value + 0.0


Weight = Annotated[float, Field(ge=0), Number, AfterValidator(_without_sign)]


def _a_fraction(value: float) -> float:
    if value > 1:
        near = f"; {value:g} of 255 is {value / 255:.4f}" if value <= 255 else ""
        raise ValueError(f"expected a fraction of 1, not {value:g}{near}")
    return value


Fraction = Annotated[Weight, AfterValidator(_a_fraction)]
Deviation = Annotated[float, Field(gt=0), Number, AfterValidator(_a_fraction)]
Means = tuple[Fraction, Fraction, Fraction]
Deviations = tuple[Deviation, Deviation, Deviation]
"""Per channel, red first, of pixels in 0..1."""
Share = Annotated[float, Field(ge=0, lt=1), Number, AfterValidator(_without_sign)]
Precision = Literal["fp32", "tf32", "bf16"]
"""The arithmetic of models and gradients (`trainer.precision`); all else is IEEE fp32."""
ExecutionMode = Literal["eager", "graph"]
"""How operations reach a GPU (`trainer.replay`): the bits are the same, so no identity holds it."""
DEFAULT_EXECUTION: ExecutionMode = "graph"
Randomness = Literal["batch", "sample"]
"""Whether a scheme decides once for all images of a batch, as the paper's code does, or for each image."""


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


def check_normalisation(mean: Means | None, std: Deviations | None) -> None:
    """Raises ValueError where one of the two is given without the other."""
    if (mean is None) != (std is None):
        raise ValueError("mean and std are given together, three numbers each")


class Data(Frozen):
    """What a trial trains and tests on: a data set, or the first images of each class of one.

    `checksum` identifies the whole; with the two counts it identifies the images used, so that a cut-down
    data set can be planned without reading it. The other fields say what it is called and where it lies:
    `path` is the folder of one's own images, in one of the `FORMATS`; official data have none.
    `mean` and `std` normalise the images; None: the paper's, or else those of the training images.
    """

    name: Name
    checksum: Checksum
    num_classes: Count
    image_size: Count
    train_images: Count
    test_images: Count
    format: Literal[FORMATS] | None = None  # type: ignore[valid-type]
    path: str | None = None
    mean: Means | None = None
    std: Deviations | None = None

    @model_validator(mode="after")
    def _is_known_or_ones_own(self) -> Self:
        check_normalisation(self.mean, self.std)
        if (self.format is None) != (self.path is None):
            raise ValueError("data of one's own have both a format and a path")
        if self.path is None and self.name not in DATASETS:
            raise ValueError(f"unknown data set {self.name!r}; known are {', '.join(DATASETS)}")
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What is hashed; a normalisation only where it is not what it would be anyway."""
        named = self.model_dump(include={"checksum", "train_images", "test_images"})
        usual = None if self.path is not None else DATASETS[self.name]
        if self.mean is None or (usual and (self.mean, self.std) == (usual.mean, usual.std)):
            return named
        return named | self.model_dump(mode="json", include={"mean", "std"})

    @classmethod
    def official(
        cls,
        name: str,
        train_images: int | None = None,
        test_images: int | None = None,
        *,
        mean: Means | None = None,
        std: Deviations | None = None,
    ) -> Self:
        """A data set of the catalog, whole or cut down."""
        facts = DATASETS[name]
        return cls(
            name=name,
            checksum=facts.checksum,
            num_classes=facts.num_classes,
            image_size=facts.image_size,
            train_images=train_images or facts.train_images,
            test_images=test_images or facts.test_images,
            mean=mean,
            std=std,
        )


class OwnFile(Frozen):
    """Code of a researcher's own: one Python file, whole, so that every node has it (`trainer.own_files`).

    Its hash is its identity; `path` only says where it came from.
    """

    path: str
    source: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source.encode()).hexdigest()


class PassSize(Frozen):
    """One pass of a model on a device: launches per batch, and float32 elements read and written per image."""

    launches: int
    floats: int


class Description(Frozen):
    """What is known of a model for one number of classes and one image size, without building it.

    `parameters` and `tensors` are what learns, in numbers and in tensors; `multiply_adds` are those of one
    forward pass of one image; `shapes` is the digest of the names and shapes in its state_dict, and
    `needs_two_images` says that it cannot learn from a batch of one.
    """

    parameters: int
    tensors: int
    multiply_adds: int
    look: PassSize
    training: PassSize
    shapes: Fingerprint
    needs_two_images: bool


class GuestModel(Frozen):
    """An architecture that is not kdsweep's: of a file of one's own or, without one, of a library."""

    file: OwnFile | None = None
    description: Description

    @property
    def identity(self) -> str:
        """What is hashed: the file; of a library, which has other versions on other days, its names and shapes."""
        return self.file.sha256 if self.file else self.description.shapes


def _known(name: str, info: ValidationInfo) -> str:
    """An architecture of kdsweep's, or the name of the guest that stands beside it, as in `student_model`."""
    guest: GuestModel | None = info.data.get(f"{info.field_name}_model")
    if guest is None and name not in ARCHITECTURES:
        raise ValueError(f"unknown model {name!r}{did_you_mean(name, ARCHITECTURES)}")
    if guest is not None:
        if name in ARCHITECTURES:
            raise ValueError(f"{name} is an architecture of kdsweep's own")
        if (library_of(name) is None) == (guest.file is None):
            raise ValueError(f"{name!r} is not the name of a model of its file or library")
    return name


Architecture = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+:-]{0,127}$"), AfterValidator(_known)
]


class PublishedCheckpoint(Frozen):
    """A file with a teacher's weights.

    The SHA-256 of its bytes is its identity; None while the file is not there: it can be planned so, but
    not run.
    """

    path: str
    sha256: Fingerprint | None

    @classmethod
    def of(cls, path: Path) -> Self:
        """The checkpoint in a file, which is read."""
        if not path.is_file():
            return cls(path=str(path), sha256=None)
        with path.open("rb") as file:
            return cls(path=str(path), sha256=hashlib.file_digest(file, "sha256").hexdigest())


class Training(Frozen):
    """SGD with a step schedule (PAPER.md, section 6); the defaults are the paper's."""

    epochs: Count = 240
    batch_size: Count = 64
    optimiser: Literal["sgd", "adamw"] = "sgd"
    momentum: Share = 0.9
    """Of SGD; AdamW's averages have torch's own (`trainer.adamw`)."""
    weight_decay: Weight = 5e-4
    clip_norm: Weight = 0.0
    """Gradients are scaled down to this norm, that of all parameters together; 0: they are not."""
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[Count, ...] = (150, 180, 210)
    """Of steps, as is `decay`."""
    decay: Annotated[float, Field(gt=0, le=1), Number] = 0.1
    label_smoothing: Share = 0.0
    """The share of the labels' weight that is spread evenly over all classes."""
    precision: Precision = "fp32"


class Distillation(Training):
    """One distillation (PAPER.md, sections 3 and 4); the defaults are the paper's.

    The loss is label_weight * CE(s(x), y) + distillation_weight * [ original_weight * METHOD(s(x), t(x))
    + augmented_weight * METHOD(s(m), t(m)) ]. With an augmented_weight of 0, m is not even made.
    """

    method: Name = "kd"
    """How the student is compared with the teacher (`trainer.methods`)."""
    method_options: Options = ()
    method_warmup_epochs: Annotated[int, Field(ge=0, le=2**31), Number] = 0
    """In epoch e of so many, the distillation_weight is e / method_warmup_epochs of what it is later."""
    temperature: Rate = 4.0
    label_weight: Weight = 0.1
    distillation_weight: Weight = 0.9
    original_weight: Weight = 1.0
    augmented_weight: Weight = 1.0
    pick_size: Count = 64


class Watching(Frozen):
    """How a teacher is shown images; the defaults are the paper's."""

    epochs: Count = 10
    batch_size: Count = 64
    pick_size: Count = 64
    temperature: Rate = 4.0
    """Acts only where images are picked by the divergence of student and teacher."""
    precision: Precision = "fp32"


class Measurement(Watching):
    """One measurement of T. stddev (PAPER.md, section 5); the defaults are the paper's."""

    batches_per_window: Count = 5


UNSAID: dict[str, Any] = {
    "optimiser": "sgd",
    "clip_norm": 0.0,
    "schedule": "steps",
    "label_smoothing": 0.0,
    "method": "kd",
    "method_options": {},
    "method_warmup_epochs": 0,
    "checkpoint": None,
}
"""Values that no identity holds: those that trials had before there was another."""
GUESTS = ("teacher_model", "student_model")


def _hashed(role: str, guest: GuestModel | None) -> dict[str, str]:
    """Of a guest who learns in a trial."""
    return {f"{role}_model": guest.identity} if guest else {}


class _Trial(Frozen):
    RECORDED_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not hashed."""

    data: Data
    teacher_model: GuestModel | None = None
    """Where the teacher is a guest; so is `student_model`. What it learnt from is in a teacher's fingerprint."""
    teacher: Architecture
    seed: Seed

    @property
    def dataset(self) -> str:
        return self.data.name

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that acts, as a JSON value."""
        return self._acting_fields()

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that is hashed, as a JSON value."""
        return {k: v for k, v in self.settings.items() if k not in UNSAID or v != UNSAID[k]}

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
        fields = self.model_dump(mode="json", exclude={*self.RECORDED_ONLY, *GUESTS})
        return fields | {"data": self.data.identity}


def _acting_training(trial: Training, fields: dict[str, Any]) -> dict[str, Any]:
    """Without what the optimiser or the schedule never looks at.

    In steps, those are milestones that no epoch passes or where the rate stays, and a decay that never acts. The
    first epoch runs at the base rate in every schedule.
    """
    idle = {"momentum"} if trial.optimiser == "adamw" else set()
    if trial.schedule == "cosine" and trial.epochs > 1:
        return {k: v for k, v in fields.items() if k not in idle | {"milestones", "decay"}}
    acting = sorted(m for m in trial.milestones if m < trial.epochs and trial.decay != 1)
    if not acting:
        idle.add("decay")
    kept = {k: v for k, v in fields.items() if k not in idle}
    return kept | {"schedule": "steps", "milestones": acting}


def _acting_checkpoint(checkpoint: PublishedCheckpoint | None) -> object:
    """What a file holds; where it is not there, which it would be."""
    return checkpoint and (checkpoint.sha256 or {"absent": checkpoint.path})


class _AugmentedTrial(_Trial):
    """A trial whose images go through a scheme."""

    augmentation: Name
    randomness: Randomness = "batch"
    own_scheme: OwnFile | None = None

    @model_validator(mode="after")
    def _has_its_scheme(self) -> Self:
        base = base_of(self.augmentation)
        if self.own_scheme is None and base not in BASE_SCHEMES:
            raise ValueError(
                f"unknown augmentation {base!r}; known are {', '.join(BASE_SCHEMES)}, "
                "what is picked of them, and schemes of one's own"
            )
        if self.own_scheme is not None and base in BASE_SCHEMES:
            raise ValueError(f"{base} is a scheme of the paper, not of one's own")
        pick = pick_of(self.augmentation)
        if pick and pick.name != self.augmentation:
            raise ValueError(f"{self.augmentation!r} is written {pick.name!r}")
        return self

    def _acting_scheme(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Without the settings that this scheme never looks at."""
        pick = pick_of(self.augmentation)
        idle = {"own_scheme"}
        if pick is None:
            idle.add("pick_size")
        if self.own_scheme is not None or base_of(self.augmentation) == "identity":
            idle.add("randomness")
        kept = {key: value for key, value in fields.items() if key not in idle}
        return kept | ({"own_scheme": self.own_scheme.sha256} if self.own_scheme else {})


SEMANTICS = {"teacher": 1, "student": 1, "stddev": 1, "predictor": 1}
"""What a trial of each kind computes, by number. Trials of other numbers are read, but not run."""


class TeacherTrial(_Trial, Training):
    """A teacher: trained by cross-entropy, or, with a `checkpoint`, published and only evaluated.

    Of a published teacher neither seed nor hyper-parameters are hashed.
    """

    kind: Literal["teacher"] = "teacher"
    semantics: Count = SEMANTICS["teacher"]
    learning_rate: Rate
    checkpoint: PublishedCheckpoint | None = None

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
        fields = super()._acting_fields()
        if self.checkpoint is not None:
            kept = ("kind", "data", "teacher", "precision", "semantics")
            acting = {key: fields[key] for key in kept}
            acting |= {
                "checkpoint": _acting_checkpoint(self.checkpoint),
                "precision": computed_in(self),
            }
            return acting | _hashed("teacher", self.teacher_model)
        del fields["checkpoint"]
        return _acting_training(self, fields) | _hashed("teacher", self.teacher_model)


class StudentTrial(_AugmentedTrial, Distillation):
    """Distil a student with one augmentation: its test loss at the last epoch is S. test loss.

    Its weights are those of a `checkpoint` to begin with, or drawn where there is none.
    """

    kind: Literal["student"] = "student"
    semantics: Count = SEMANTICS["student"]
    teacher_fingerprint: Fingerprint
    student_model: GuestModel | None = None
    student: Architecture
    learning_rate: Rate
    own_method: OwnFile | None = None
    checkpoint: PublishedCheckpoint | None = None

    @model_validator(mode="after")
    def _has_its_method(self) -> Self:
        """With the options of its method written out."""
        source = self.own_method.source if self.own_method else ""
        whole = _all_options(self.method, dict(self.method_options), source)
        # Nobody has seen it yet: only from here on it is frozen.
        object.__setattr__(self, "method_options", tuple(sorted(whole.items())))
        return self

    @property
    def depends_on(self) -> tuple[str, ...]:
        return (self.teacher_fingerprint,)

    @property
    def is_distilled(self) -> bool:
        """Whether a method acts; without one the student learns from the labels alone."""
        return bool(self.distillation_weight and (self.original_weight or self.augmented_weight))

    def _acting_fields(self) -> dict[str, Any]:
        fields = _acting_training(self, super()._acting_fields())
        fields["checkpoint"] = _acting_checkpoint(self.checkpoint)
        fields = self._acting_loss(self._acting_method(self._acting_scheme(fields)))
        return fields | _hashed("student", self.student_model)

    def _acting_method(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Without a warm-up that is over when the first epoch begins, and a smoothing of labels that weigh nothing."""
        del fields["own_method"]
        if self.own_method:
            fields["own_method"] = self.own_method.sha256
        if self.method_warmup_epochs == 1:
            fields["method_warmup_epochs"] = 0
        if not self.label_weight:
            fields["label_smoothing"] = 0.0
        return fields

    def _acting_loss(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Where m is not made, without what makes it; where nothing is distilled, without how it would be.

        A student without m is the same for every augmentation: `identity` stands for all. With m but without
        distillation, m still passes through the student's batch-norm statistics, and so does what picks it.
        """
        if not self.augmented_weight:
            idle = {"randomness", "own_scheme", "pick_size"}
            kept = {key: value for key, value in fields.items() if key not in idle}
            fields = kept | {"augmentation": "identity"}
        if not self.is_distilled:
            pick = pick_of(self.augmentation)
            if not self.augmented_weight or pick is None or pick.criterion != "kld":
                del fields["temperature"]
            idle = {"method", "method_options", "method_warmup_epochs", "own_method"}
            fields = {key: value for key, value in fields.items() if key not in idle}
            fields |= {"distillation_weight": 0.0, "original_weight": 0.0}
            fields["augmented_weight"] = 1.0 if self.augmented_weight else 0.0
        return fields


def _all_options(method: str, given: dict[str, Any], source: str) -> dict[str, Any]:
    """A method's options with the defaults of those not given; `source` is the file of a method of one's own.

    Raises:
        ValueError: there is no such method, it has no such option, or a value is not one of it.
    """
    if method in METHODS:
        if source:
            raise ValueError(f"{method} is a method of kdsweep's, not of one's own")
        return checked_weights(method, given)
    if not source:
        hint = did_you_mean(method, METHODS)
        raise ValueError(f"unknown method {method!r}{hint}, and methods of one's own")
    return completed(method, given, options_of(source, method))


class _WatchingTrial(_AugmentedTrial, Watching):
    """Run the teacher over one augmentation's images.

    Only picks that a student scores take a student: one trained with that very augmentation.
    """

    RECORDED_ONLY: ClassVar[frozenset[str]] = frozenset({"student_cell"})
    teacher_fingerprint: Fingerprint
    student_model: GuestModel | None = None
    student: Architecture | None = None
    student_fingerprint: Fingerprint | None = None
    student_cell: Fingerprint | None = None

    @model_validator(mode="after")
    def _has_its_student(self) -> Self:
        given = [self.student, self.student_fingerprint, self.student_cell]
        pick = pick_of(self.augmentation)
        needed = pick is not None and pick.needs_student
        if any((value is not None) != needed for value in given):
            verb = "needs" if needed else "takes no"
            raise ValueError(
                f"{self.augmentation} {verb} student, student_fingerprint, student_cell"
            )
        return self

    @property
    def depends_on(self) -> tuple[str, ...]:
        if self.student_fingerprint is None:
            return (self.teacher_fingerprint,)
        return (self.teacher_fingerprint, self.student_fingerprint)

    def _acting_fields(self) -> dict[str, Any]:
        fields = self._acting_scheme(super()._acting_fields())
        pick = pick_of(self.augmentation)
        if pick is None or pick.criterion != "kld":
            del fields["temperature"]
        return fields

    def _identity_without_seeds(self) -> dict[str, Any]:
        return {**super()._identity_without_seeds(), "student_fingerprint": self.student_cell}


class StddevTrial(_WatchingTrial, Measurement):
    """Yields T. stddev."""

    kind: Literal["stddev"] = "stddev"
    semantics: Count = SEMANTICS["stddev"]

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


class PredictorTrial(_WatchingTrial):
    """Yields what an object of a researcher's own makes of the teacher's answers (`trainer.predictors.own`)."""

    kind: Literal["predictor"] = "predictor"
    semantics: Count = SEMANTICS["predictor"]
    predictor: Name
    own_predictor: OwnFile

    def _acting_fields(self) -> dict[str, Any]:
        return super()._acting_fields() | {"own_predictor": self.own_predictor.sha256}


AugmentedTrial = StudentTrial | StddevTrial | PredictorTrial
"""What images go through a scheme for."""

Trial = TeacherTrial | AugmentedTrial

TRIAL: TypeAdapter[Trial] = TypeAdapter(Annotated[Trial, Field(discriminator="kind")])
"""Reads any kind of trial from JSON-like data: `TRIAL.validate_python(mapping)`."""


def steps_per_epoch(trial: Trial) -> int:
    """Steps in one epoch; the last, partial batch counts."""
    return math.ceil(trial.data.train_images / trial.batch_size)


def is_published(trial: Trial) -> bool:
    """Whether a trial is a published teacher, which is only tested."""
    return trial.kind == "teacher" and trial.checkpoint is not None


def num_epochs(trial: Trial) -> int:
    """Epochs that a trial runs through the training images; none for a published teacher."""
    return 0 if is_published(trial) else trial.epochs


def guests_of(trial: Trial) -> dict[str, GuestModel]:
    """The models of a trial that are not kdsweep's, by name."""
    named = {trial.teacher: trial.teacher_model}
    if not isinstance(trial, TeacherTrial) and trial.student is not None:
        named[trial.student] = trial.student_model
    return {name: guest for name, guest in named.items() if guest is not None}


def learner_of(trial: Trial) -> GuestModel | None:
    """The guest who learns in a trial; None where one of kdsweep's models does, or nobody."""
    match trial:
        case TeacherTrial():
            return trial.teacher_model
        case StudentTrial():
            return trial.student_model
        case StddevTrial() | PredictorTrial():
            return None


def learns_eagerly(trial: Trial) -> bool:
    """Whether a learner's steps are never replayed: nobody knows whether the code of others can be captured."""
    has_own_method = isinstance(trial, StudentTrial) and trial.own_method is not None
    return learner_of(trial) is not None or has_own_method


def computed_in(trial: Trial) -> Precision:
    """The precision that acts: a published teacher is only tested, and tests are IEEE fp32 in any."""
    return "fp32" if is_published(trial) else trial.precision


def lockstep_key(trial: Trial) -> tuple[object, ...]:
    """Trials with equal keys see the same batches and the same teacher, so they can share a group.

    Teachers train alone; students do not mix with what only watches the teacher.
    """
    if trial.kind == "teacher":
        return (trial.fingerprint,)
    return (
        "student" if trial.kind == "student" else "stddev",
        canonical_json(trial.data.identity),
        trial.teacher_fingerprint,
        trial.seed,
        trial.batch_size,
        trial.precision,
    )
