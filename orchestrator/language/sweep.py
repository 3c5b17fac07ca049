"""The sweep: what one YAML file asks for, validated.

    sweep = load_sweep(Path("sweeps/quickstart.yaml"))
    trials = orchestrator.planning.plan.expand(sweep)

Hyper-parameters that the file leaves out have the paper's values. Every mistake of a file is reported at
once, each with its line and the nearest name that is known.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from orchestrator.language.changes import with_changes
from orchestrator.language.inheritance import read_sweep
from orchestrator.language.methods import MethodsInUse
from orchestrator.language.mistakes import (
    EVERY,
    as_list,
    distinct,
    few,
    file_error,
    known,
    mistake,
    mistake_at,
)
from orchestrator.language.own_files import (
    MethodFile,
    ModelFile,
    PredictorFile,
    SchemeFile,
    file_of,
    registered_once,
    with_files_read,
)
from orchestrator.language.resources import AllResources, Resources
from orchestrator.language.search import DrawnSearch
from orchestrator.language.seeds import SeedRange, written_out
from orchestrator.language.settings import DatasetChoice, Pair, StudentSettings, TeacherSettings
from orchestrator.language.shipped import find
from orchestrator.language.variations import Axes, Hyperparameters, Override, Point, Where
from trainer.catalog import AUGMENTATIONS, BASE_SCHEMES, DATASETS, base_of, pick_of
from trainer.options import Scalar
from trainer.problems import FileError, did_you_mean
from trainer.trial import (
    DEFAULT_EXECUTION,
    Count,
    ExecutionMode,
    Frozen,
    Measurement,
    OwnFile,
    Randomness,
    Rate,
    Seed,
)
from trainer.yaml_source import MAX_LETTERS, KeyPath

Measure = Literal["s_test_loss", "t_stddev"]


def _all_augmentations(value: object) -> object:
    """`all`, alone or in a list, stands for the paper's nine."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        return listed
    return [name for item in listed for name in (AUGMENTATIONS if item == "all" else (item,))]


def _augmentation(name: str, info: ValidationInfo) -> str:
    files: tuple[SchemeFile, ...] = info.data.get("schemes", ())
    own = tuple(name for file in files for name in file.names)
    known(base_of(name), (*BASE_SCHEMES, *own), "augmentation", ("all", *AUGMENTATIONS, *own))
    pick = pick_of(name)
    if pick and pick.name != name:
        raise mistake(f"{name!r} is written {pick.name!r}")
    return name


def _pair(pair: Pair, info: ValidationInfo) -> Pair:
    # Where the files are mistaken, what they register is not known, and nothing is wrong with its name.
    files: tuple[ModelFile, ...] | None = info.data.get("models")
    return pair if files is None else pair.checked([n for file in files for n in file.names])


FamilyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]

Families = dict[
    FamilyName,
    Annotated[tuple[str, ...], AfterValidator(distinct)],
]

Rules = Annotated[tuple[Where, ...], BeforeValidator(as_list)]


class Sweep(Frozen):
    """Everything one sweep file says, with the defaults written out."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    notes: Annotated[str, Field(max_length=MAX_LETTERS)] = ""
    """For whoever reads it: kept and shown, and nothing is computed by it."""
    was_set: tuple[Annotated[str, Field(max_length=MAX_LETTERS)], ...] = ()
    """What commands have set (`orchestrator.language.changes`), taken down as KEY=VALUE; nothing is set by it."""
    dataset: Annotated[
        tuple[DatasetChoice, ...],
        BeforeValidator(as_list),
        BeforeValidator(few),
        AfterValidator(distinct),
    ]
    models: Annotated[
        tuple[ModelFile, ...],
        BeforeValidator(as_list),
        BeforeValidator(few),
        AfterValidator(registered_once),
    ] = ()
    pairs: Annotated[
        tuple[Annotated[Pair, AfterValidator(_pair)], ...],
        BeforeValidator(few),
        AfterValidator(distinct),
    ]
    schemes: Annotated[
        tuple[SchemeFile, ...],
        BeforeValidator(as_list),
        BeforeValidator(few),
        AfterValidator(registered_once),
    ] = ()
    methods: Annotated[
        tuple[MethodFile, ...],
        BeforeValidator(as_list),
        BeforeValidator(few),
        AfterValidator(registered_once),
    ] = ()
    augmentations: Annotated[
        tuple[Annotated[str, AfterValidator(_augmentation)], ...],
        BeforeValidator(_all_augmentations),
        BeforeValidator(few),
        AfterValidator(distinct),
    ] = AUGMENTATIONS
    families: Families = Field(default_factory=dict)
    """Augmentations that are variants of one idea, by name: evidence is also weighed without each (`analysis.families`)."""
    randomness: Randomness = "batch"
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(written_out), AfterValidator(distinct)]
    measure: Annotated[tuple[Measure, ...], AfterValidator(distinct)] = (
        "s_test_loss",
        "t_stddev",
    )
    predictors: Annotated[
        tuple[PredictorFile, ...],
        BeforeValidator(as_list),
        BeforeValidator(few),
        AfterValidator(registered_once),
    ] = ()
    """What is measured of teachers beside T. stddev, with the settings of `stddev`; whatever `measure` says."""
    teachers: TeacherSettings = TeacherSettings()
    student: StudentSettings = StudentSettings()
    stddev: Measurement = Measurement()
    grid: Axes = Field(default_factory=dict)
    search: DrawnSearch | None = None
    """Joint points of further hyper-parameters, each with every combination of the grid's values."""
    overrides: tuple[Override, ...] = ()
    include: Rules = ()
    """Only points that match one of these are run; all, where none is named."""
    exclude: Rules = ()
    resources: AllResources = AllResources()
    execution: ExecutionMode = DEFAULT_EXECUTION
    """How steps run on a GPU: operation by operation, or each as one CUDA graph; the bits are the same."""
    checkpoint_every_minutes: Rate = 5.0
    checkpoint_every_epochs: Count | None = None
    heartbeat_minutes: Rate = 10.0
    """A worker that finishes no step for so long is killed, and its trials are tried again."""
    time_limit_minutes: Rate | None = None
    """A job may take so long for each of its trials."""
    most_points: Count = 100_000
    """A sweep of more points, most of them of its grid, is refused: it takes minutes only to be planned."""
    store: str | None = None
    data: str | None = None

    def own_scheme(self, augmentation: str) -> OwnFile | None:
        """The file that registers a scheme of one's own; None for the paper's."""
        return file_of(base_of(augmentation), self.schemes)

    def own_model(self, architecture: str) -> OwnFile | None:
        """The file that registers an architecture of one's own; None for kdsweep's and those of libraries."""
        return file_of(architecture, self.models)

    def own_method(self, method: str) -> OwnFile | None:
        """The file that registers a method of one's own; None for kdsweep's."""
        return file_of(method, self.methods)

    def method_options(self, student: StudentSettings) -> Mapping[str, Scalar]:
        """What is said of the options that a student's method has; the others are another method's."""
        return MethodsInUse.of(self.methods).options_said(student)

    @model_validator(mode="after")
    def _names_methods_that_there_are(self) -> Self:
        MethodsInUse.of(self.methods).check(self.student, self.grid, self.search, self.overrides)
        return self

    @model_validator(mode="after")
    def _has_a_checkpoint_for_every_dataset(self) -> Self:
        names = [choice.name for choice in self.dataset]
        for section in ("teachers", "student"):
            given = getattr(self, section).checkpoint
            if given and EVERY not in given and set(given) != set(names):
                message = f"has {', '.join(given)}; expected {', '.join(names)}"
                raise mistake_at(f"{section}/checkpoint", message)
        return self

    @property
    def checkpoints(self) -> Mapping[str, str]:
        """Patterns of the files with weights that it names, by where it does."""
        return {
            f"{section}.checkpoint {name}": pattern
            for section in ("teachers", "student")
            for name, pattern in getattr(self, section).checkpoint.items()
        }

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What holds where neither grid nor overrides say otherwise."""
        return Hyperparameters(self.teachers, self.student, self.stddev, self.randomness)

    @property
    def varied(self) -> tuple[str, ...]:
        """The hyper-parameters that may differ among its points."""
        searched = self.search.axes if self.search else ()
        overridden = (key for rule in self.overrides for key in rule.set)
        return tuple(dict.fromkeys([*self.grid, *searched, *overridden]))

    @property
    def variations(self) -> Iterator[dict[str, Any]]:
        """The settings of every combination of the grid's values and the points of the search; one without any where there are neither."""
        searched = self.search.points if self.search else ({},)
        for values in itertools.product(*self.grid.values()):
            for point in searched:
                yield dict(zip(self.grid, values, strict=True)) | point

    @property
    def num_variations(self) -> int:
        """So many combinations."""
        searched = self.search.samples if self.search else 1
        return math.prod(map(len, self.grid.values())) * searched

    def wants(self, point: Point) -> bool:
        """Whether a point is neither excluded nor left out by `include`."""
        included = not self.include or any(rule.matches(point) for rule in self.include)
        return included and not any(rule.matches(point) for rule in self.exclude)

    @model_validator(mode="after")
    def _rules_name_what_there_is(self) -> Self:
        names: dict[str, tuple[Any, ...]] = {
            "dataset": tuple(choice.name for choice in self.dataset),
            "pair": tuple(str(pair) for pair in self.pairs),
            "teacher": tuple(pair.teacher for pair in self.pairs),
            "student": tuple(pair.student for pair in self.pairs),
            "augmentation": self.augmentations,
            "seed": self.seeds,
        }
        for index, override in enumerate(self.overrides):
            override.where.check_names(f"overrides/{index}/where", names)
        for name, rules in (("include", self.include), ("exclude", self.exclude)):
            for index, rule in enumerate(rules):
                rule.check_names(f"{name}/{index}", names)
        return self

    @model_validator(mode="after")
    def _searches_beside_the_grid(self) -> Self:
        for key in self.search.axes if self.search else ():
            if key in self.grid:
                raise mistake_at(f"search/{key}", "stands in grid already")
        return self

    @model_validator(mode="after")
    def _is_not_huge(self) -> Self:
        sizes = {key: len(values) for key, values in self.grid.items()}
        sizes |= {"samples": self.search.samples} if self.search else {}
        sizes |= {
            key: len(getattr(self, key)) for key in ("dataset", "pairs", "augmentations", "seeds")
        }
        points = math.prod(sizes.values())
        if points > self.most_points:
            told = " x ".join(f"{size:,} {key}" for key, size in sizes.items() if size > 1)
            largest = max(sizes, key=lambda key: sizes[key])
            raise mistake_at(
                "grid" if self.grid else "search" if self.search else largest,
                f"{points:,} points ({told}); most_points allows {self.most_points}: raise it "
                "where so many are meant",
            )
        return self

    @model_validator(mode="after")
    def _families_hold_each_augmentation_once(self) -> Self:
        family_of: dict[str, str] = {}
        for name, members in self.families.items():
            for index, member in enumerate(members):
                at = f"families/{name}/{index}"
                if member not in self.augmentations:
                    hint = did_you_mean(member, self.augmentations)
                    message = f"{member} is no augmentation of this sweep{hint}"
                    raise mistake_at(at, message, of_a_name=True)
                if member in family_of:
                    raise mistake_at(at, f"{member} is in {family_of[member]} already")
                family_of[member] = name
        for name, members in self.families.items():
            # What is in no named family is in that of its scheme: two families would have one name.
            if name not in members and name in map(base_of, self.augmentations):
                raise mistake_at(
                    f"families/{name}", f"{name} is an augmentation that is not in this family"
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
                raise mistake_at(
                    "stddev",
                    f"T. stddev needs 2 windows or more; stddev: {self.stddev.epochs} epochs of {steps} "
                    f"steps on {choice.name} make {windows} of {self.stddev.batches_per_window} batches",
                )
        return self


MODELS: dict[KeyPath, type[BaseModel]] = {
    (): Sweep,
    ("dataset",): DatasetChoice,
    ("seeds",): SeedRange,
    ("teachers",): TeacherSettings,
    ("student",): StudentSettings,
    ("stddev",): Measurement,
    ("overrides",): Override,
    ("overrides", "where"): Where,
    ("include",): Where,
    ("exclude",): Where,
    ("resources",): AllResources,
    **{("resources", kind): Resources for kind in AllResources.model_fields},
}
"""Which keys are known at each place of a sweep file."""


def load_sweep(path: str | Path, changes: Sequence[str] = ()) -> Sweep:
    """Read and validate a sweep file, and those that it `extends`, with `KEY=VALUE` set in it (`kdsweep ... --set`).

    `path` may also be the name of a sweep that comes with kdsweep, where no such file is there.

    Raises:
        UserError: a file cannot be read, or a change is not of the form KEY=VALUE.
        FileError: one is not YAML, or says something that cannot be; with all problems.
    """
    source = read_sweep(find(path))
    if not isinstance(source.data, dict):
        raise FileError([source.problem((), "expected the keys of a sweep: name, dataset, ...")])
    source = with_changes(source, changes)
    source = replace(source, data=with_files_read(source.data))
    try:
        return Sweep.model_validate(source.data)
    except ValidationError as error:
        raise file_error(source, Sweep.model_validate, MODELS) from error
