"""The sweep: what one YAML file asks for, validated.

    sweep = load_sweep(Path("sweeps/quickstart.yaml"))
    trials = orchestrator.plan.expand(sweep)

Hyper-parameters that the file leaves out have the paper's values. Every mistake of a file is reported at
once, each with its line and the nearest name that is known.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from orchestrator.problems import FileError, Problem, did_you_mean
from orchestrator.yaml_source import YamlSource, read_yaml
from trainer.catalog import ARCHITECTURES, AUGMENTATIONS, DATASETS
from trainer.trial import (
    Augmentation,
    Count,
    Data,
    Distillation,
    Frozen,
    Measurement,
    Rate,
    Seed,
    Training,
)

Kind = Literal["teacher", "student", "stddev"]
Measure = Literal["s_test_loss", "t_stddev"]


def _mistake(message: str) -> PydanticCustomError:
    return PydanticCustomError("mistake", "{message}", {"message": message})


def _known(word: str, known: tuple[str, ...], what: str) -> str:
    if word not in known:
        raise _mistake(f"unknown {what} {word!r}{did_you_mean(word, known)}")
    return word


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise _mistake("expected at least one")
    twice = [v for i, v in enumerate(values) if v in values[:i]]
    if twice:
        raise _mistake(f"{twice[0]} stands here twice")
    return values


class Pair(Frozen):
    """Teacher and student architecture, written `wrn_40_2/wrn_16_2`."""

    teacher: str
    student: str

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        teacher, slash, student = value.partition("/")
        if not slash:
            raise _mistake(f"expected TEACHER/STUDENT, as in resnet20/resnet8, not {value!r}")
        return {
            "teacher": _known(teacher, ARCHITECTURES, "model"),
            "student": _known(student, ARCHITECTURES, "model"),
        }

    def __str__(self) -> str:
        return f"{self.teacher}/{self.student}"


class DatasetChoice(Frozen):
    """A data set by name, or its first images of each class."""

    name: str
    train_images: Count | None = None
    test_images: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return _known(name, tuple(DATASETS), "data set")

    @model_validator(mode="after")
    def _has_so_many(self) -> Self:
        facts = DATASETS[self.name]
        for wanted, there in (
            (self.train_images, facts.train_images),
            (self.test_images, facts.test_images),
        ):
            if wanted is not None and not facts.num_classes <= wanted <= there:
                raise _mistake(
                    f"{wanted} images wanted of {self.name}; "
                    f"expected {facts.num_classes} (one of each class) to {there}",
                )
        return self

    @property
    def data(self) -> Data:
        return Data.official(self.name, self.train_images, self.test_images)


class TeacherSettings(Training):
    seed: Seed = 0
    learning_rate: Rate | None = None


class StudentSettings(Distillation):
    learning_rate: Rate | None = None


class Resources(Frozen):
    """What one job of a kind occupies.

    `cpu` is also its number of CPU threads. `gpu` is a share of one GPU; left out, a job takes a whole
    GPU where the cluster has any, else none.
    """

    cpu: Annotated[int, Field(ge=1, le=1024)] = 1
    gpu: Annotated[float, Field(ge=0, le=1)] | None = None

    def on(self, cluster_has_gpus: bool) -> "Resources":
        """The same with `gpu` decided."""
        gpu = float(cluster_has_gpus) if self.gpu is None else self.gpu
        return Resources(cpu=self.cpu, gpu=gpu)


class AllResources(Frozen):
    teacher: Resources = Resources()
    student: Resources = Resources()
    stddev: Resources = Resources()

    def of(self, kind: Kind) -> Resources:
        resources: Resources = getattr(self, kind)
        return resources


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _all_augmentations(value: object) -> object:
    return AUGMENTATIONS if value == "all" else value


def _augmentation(value: object) -> object:
    return _known(value, AUGMENTATIONS, "augmentation") if isinstance(value, str) else value


class Sweep(Frozen):
    """Everything one sweep file says, with the defaults written out."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    dataset: Annotated[
        tuple[DatasetChoice, ...], BeforeValidator(_as_list), AfterValidator(_distinct)
    ]
    pairs: Annotated[tuple[Pair, ...], AfterValidator(_distinct)]
    augmentations: Annotated[
        tuple[Annotated[Augmentation, BeforeValidator(_augmentation)], ...],
        BeforeValidator(_all_augmentations),
        AfterValidator(_distinct),
    ] = AUGMENTATIONS
    seeds: Annotated[tuple[Seed, ...], AfterValidator(_distinct)]
    measure: Annotated[tuple[Measure, ...], AfterValidator(_distinct)] = (
        "s_test_loss",
        "t_stddev",
    )
    teachers: TeacherSettings = TeacherSettings()
    student: StudentSettings = StudentSettings()
    stddev: Measurement = Measurement()
    resources: AllResources = AllResources()
    checkpoint_every_minutes: Annotated[float, Field(gt=0)] = 5.0
    store: str | None = None

    @model_validator(mode="after")
    def _has_two_windows(self) -> Self:
        if "t_stddev" not in self.measure:
            return self
        for choice in self.dataset:
            steps = -(-choice.data.train_images // self.stddev.batch_size)
            windows = self.stddev.epochs * steps // self.stddev.batches_per_window
            if windows < 2:
                raise _mistake(
                    f"T. stddev needs 2 windows or more; stddev: {self.stddev.epochs} epochs of {steps} "
                    f"steps on {choice.name} make {windows} of {self.stddev.batches_per_window} batches",
                )
        return self


def load_sweep(path: str | Path) -> Sweep:
    """Read and validate a sweep file.

    Raises:
        UserError: the file cannot be read.
        FileError: it is not YAML, or says something that cannot be; with all its problems.
    """
    source = read_yaml(Path(path))
    if not isinstance(source.data, dict):
        raise FileError(
            path, [Problem(1, 1, "", "expected the keys of a sweep: name, dataset, ...")]
        )
    try:
        return Sweep.model_validate(source.data)
    except ValidationError as error:
        problems = [_problem(source, details) for details in error.errors()]
        raise FileError(path, problems) from error


def _problem(source: YamlSource, details: ErrorDetails) -> Problem:
    path = _path_in_file(source, details["loc"])
    line, column = source.place(path)
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    return Problem(line, column, key, _message(details))


def _path_in_file(source: YamlSource, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The location as the file has it: a lone value stands for the list that holds it."""
    path: tuple[str | int, ...] = ()
    for part in loc:
        if (*path, part) not in source.marks and isinstance(part, int):
            continue
        path = (*path, part)
    return path


def _message(details: ErrorDetails) -> str:
    match details["type"]:
        case "extra_forbidden":
            *parents, key = details["loc"]
            return "unknown key" + did_you_mean(str(key), _keys_at(tuple(parents)))
        case "missing":
            return "this key is missing"
        case "literal_error":
            return f"{details['input']!r} is unknown; expected {details['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"{details['input']!r}: expected letters, digits, '.', '_' or '-', at most 100"
        case "mistake":
            return details["msg"]
        case _:
            message = details["msg"].replace("Input should be", "expected")
            value = details["input"]
            is_scalar = value is None or isinstance(value, str | int | float)
            return f"{message}, not {value!r}" if is_scalar else message


def _keys_at(parents: tuple[str | int, ...]) -> list[str]:
    """The keys that are known at a place in a sweep file."""
    models: dict[tuple[str, ...], type[Frozen]] = {
        (): Sweep,
        ("dataset",): DatasetChoice,
        ("teachers",): TeacherSettings,
        ("student",): StudentSettings,
        ("stddev",): Measurement,
        ("resources",): AllResources,
    }
    names = tuple(p for p in parents if isinstance(p, str))
    return list(models.get(names, Resources).model_fields)
