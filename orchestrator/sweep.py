"""The sweep: what one YAML file asks for, validated.

    sweep = load_sweep(Path("sweeps/quickstart.yaml"))
    trials = orchestrator.plan.expand(sweep)

Hyper-parameters that the file leaves out have the paper's values. Every mistake of a file is reported at
once, each with its line and the nearest name that is known.
"""

import ast
import string
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from trainer.catalog import (
    ARCHITECTURES,
    AUGMENTATIONS,
    BASE_SCHEMES,
    DATASETS,
    FORMATS,
    base_of,
    pick_of,
)
from trainer.problems import FileError, Problem, did_you_mean
from trainer.trial import (
    Count,
    Distillation,
    Frozen,
    Measurement,
    Name,
    OwnScheme,
    Randomness,
    Rate,
    Seed,
    Training,
)
from trainer.yaml_source import YamlSource, read_yaml

Kind = Literal["teacher", "student", "stddev"]
Measure = Literal["s_test_loss", "t_stddev"]


def _mistake(message: str) -> PydanticCustomError:
    return PydanticCustomError("mistake", "{message}", {"message": message})


def _known(
    word: str, known: tuple[str, ...], what: str, shown: Collection[str] | None = None
) -> str:
    if word not in known:
        raise _mistake(f"unknown {what} {word!r}{did_you_mean(word, shown or known)}")
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
    """An official data set by name, or images of one's own in a folder; whole, or cut down.

    One's own have a `path` and one of the `FORMATS`; an imagefolder also the size that its images get.
    """

    name: Name
    train_images: Count | None = None
    test_images: Count | None = None
    path: str | None = None
    format: str | None = None
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("format")
    @classmethod
    def _is_a_format(cls, word: str | None) -> str | None:
        return None if word is None else _known(word, FORMATS, "format")

    @model_validator(mode="after")
    def _is_known_or_ones_own(self) -> Self:
        if self.path is None:
            _known(self.name, tuple(DATASETS), "data set")
            if self.format or self.image_size:
                raise _mistake("format and image_size are for images of your own: add their path")
            return self._checked_counts()
        if self.format is None:
            raise _mistake(f"expected the format of {self.path}: one of {', '.join(FORMATS)}")
        if (self.format == "imagefolder") != (self.image_size is not None):
            verb = "needs" if self.format == "imagefolder" else "has no"
            raise _mistake(f"format {self.format} {verb} image_size")
        return self

    def _checked_counts(self) -> Self:
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


class SchemeFile(Frozen):
    """A file with schemes of one's own, read when the sweep is; `names` are what it registers."""

    path: str
    source: str
    names: tuple[Name, ...]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            source = Path(value).expanduser().read_text()
            names = _registered_names(ast.parse(source))
        except OSError as error:
            raise _mistake(f"{value}: cannot be read: {error.strerror}") from error
        except (SyntaxError, ValueError) as error:
            raise _mistake(f"{value}: not a Python file: {error}") from error
        if not names:
            raise _mistake(f'{value}: registers no scheme; expected @register("NAME")')
        taken = [n for n in names if n in AUGMENTATIONS or pick_of(n)]
        if taken:
            raise _mistake(f"{value}: {taken[0]!r} is a name of kdsweep's own")
        return {"path": value, "source": source, "names": names}


def _registered_names(tree: ast.Module) -> list[str]:
    """The names in `@register("NAME")`, without running the file."""
    decorators = [
        decorator
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    ]
    return [
        argument.value
        for decorator in decorators
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("register")
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


EVERY = "*"
"""Stands for every data set."""

PLACEHOLDERS = ("teacher", "dataset")


def _checked_pattern(pattern: str) -> str:
    try:
        fields = [field for _, field, *_ in string.Formatter().parse(pattern) if field is not None]
    except ValueError as error:
        raise _mistake(f"{pattern!r}: {error}") from error
    for field in fields:
        if field not in PLACEHOLDERS:
            raise _mistake(f"unknown placeholder {{{field}}}{did_you_mean(field, PLACEHOLDERS)}")
    return pattern


Pattern = Annotated[str, AfterValidator(_checked_pattern)]
"""A path in which `{teacher}` and `{dataset}` stand for names."""


class TeacherSettings(Training):
    """How teachers are trained, or where published ones lie: one pattern, or one per data set."""

    seed: Seed = 0
    learning_rate: Rate | None = None
    checkpoint: Annotated[
        dict[str, Pattern], BeforeValidator(lambda v: {EVERY: v} if isinstance(v, str) else v)
    ] = Field(default_factory=dict)

    def checkpoint_path(self, dataset: str, teacher: str) -> Path | None:
        """The file of a published teacher; None where teachers are trained."""
        pattern = self.checkpoint.get(dataset, self.checkpoint.get(EVERY))
        if pattern is None:
            return None
        return Path(pattern.format(teacher=teacher, dataset=dataset)).expanduser().absolute()


class StudentSettings(Distillation):
    """`epoch_factor` prolongs training: epochs and milestones are multiplied by it."""

    learning_rate: Rate | None = None
    epoch_factor: Annotated[int, Field(ge=1, le=1000)] = 1


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
    """`all`, alone or in a list, stands for the paper's nine."""
    listed = [value] if value == "all" else value
    if not isinstance(listed, list):
        return listed
    return [name for item in listed for name in (AUGMENTATIONS if item == "all" else (item,))]


def _augmentation(name: str, info: ValidationInfo) -> str:
    files: tuple[SchemeFile, ...] = info.data.get("schemes", ())
    own = tuple(name for file in files for name in file.names)
    _known(base_of(name), (*BASE_SCHEMES, *own), "augmentation", (*AUGMENTATIONS, *own))
    pick = pick_of(name)
    if pick and pick.name != name:
        raise _mistake(f"{name!r} is written {pick.name!r}")
    return name


class Sweep(Frozen):
    """Everything one sweep file says, with the defaults written out."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    dataset: Annotated[
        tuple[DatasetChoice, ...], BeforeValidator(_as_list), AfterValidator(_distinct)
    ]
    pairs: Annotated[tuple[Pair, ...], AfterValidator(_distinct)]
    schemes: Annotated[tuple[SchemeFile, ...], BeforeValidator(_as_list)] = ()
    augmentations: Annotated[
        tuple[Annotated[str, AfterValidator(_augmentation)], ...],
        BeforeValidator(_all_augmentations),
        AfterValidator(_distinct),
    ] = AUGMENTATIONS
    randomness: Randomness = "batch"
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
    data: str | None = None

    def own_scheme(self, augmentation: str) -> OwnScheme | None:
        """The file that registers a scheme of one's own; None for the paper's."""
        base = base_of(augmentation)
        file = next((file for file in self.schemes if base in file.names), None)
        return OwnScheme(path=file.path, source=file.source) if file else None

    @model_validator(mode="after")
    def _has_a_checkpoint_for_every_dataset(self) -> Self:
        given = self.teachers.checkpoint
        names = [choice.name for choice in self.dataset]
        if given and EVERY not in given and set(given) != set(names):
            raise _mistake(
                f"teachers.checkpoint: has {', '.join(given)}; expected {', '.join(names)}"
            )
        return self

    @model_validator(mode="after")
    def _has_two_windows(self) -> Self:
        if "t_stddev" not in self.measure:
            return self
        for choice in self.dataset:
            if choice.path is not None:
                continue
            images = choice.train_images or DATASETS[choice.name].train_images
            steps = -(-images // self.stddev.batch_size)
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
        if (*path, part) not in source.marks and (isinstance(part, int) or part == EVERY):
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
