"""What varies within a sweep: the axes of a grid, overrides of single points, points left out.

    grid: {student.temperature: [2, 4]}
    overrides:
      - where: {student: vgg8}
        set: {student.learning_rate: 0.02}
    exclude:
      - {pair: vgg13/vgg8, augmentation: flip}

A *point* is one combination of data set, pair, augmentation and seed. `where` matches a point in which every
key that it names has its value, or one of its values. Later overrides win.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from orchestrator.language.mistakes import as_list, mistake, mistake_at
from orchestrator.language.settings import Pair, StudentSettings, TeacherSettings
from trainer.problems import did_you_mean
from trainer.trial import Frozen, Measurement, Randomness, Seed

SECTIONS: Mapping[str, type[Frozen]] = {
    "teachers": TeacherSettings,
    "student": StudentSettings,
    "stddev": Measurement,
}

KEYS = (
    *(
        f"{section}.{name}"
        for section, model in SECTIONS.items()
        for name in model.model_fields
        if name not in ("checkpoint", "method_options")
    ),
    "randomness",
)
"""Every hyper-parameter that a grid or an override can set, but for the options of methods."""

OPTION = "student.method_options."
"""What stands before the name of an option, where a grid or an override sets one."""

RANDOMNESS: TypeAdapter[str] = TypeAdapter(Randomness)


@dataclass(frozen=True)
class Point:
    """One combination."""

    dataset: str
    pair: Pair
    augmentation: str
    seed: int


def _checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that exist, with values of their types."""
    return {key: checked_value(key, value, key) for key, value in settings.items()}


def checked_value(key: str, value: Any, at: str) -> Any:
    """A hyper-parameter's value in its type; raises a mistake of what is none, told of what is `at` a place."""
    if key.startswith(OPTION):
        return _checked_option(key, value, at)
    if key not in KEYS:
        raise mistake_at(at, f"unknown hyper-parameter{did_you_mean(key, KEYS)}")
    section, _, name = key.partition(".")
    try:
        if section == "randomness":
            return RANDOMNESS.validate_python(value)
        return getattr(SECTIONS[section].model_validate({name: value}), name)
    except ValidationError as error:
        message = error.errors()[0]["msg"].replace("Input should be", "expected")
        told = message if "not " in message else f"{message}, not {value!r}"
        raise mistake_at(at, told) from error


def _checked_option(key: str, value: Any, at: str) -> Any:
    """Whether any method has it is known of a whole sweep only."""
    name = key.removeprefix(OPTION)
    try:
        options = StudentSettings.model_validate({"method_options": {name: value}}).method_options
    except ValidationError as error:
        raise mistake_at(at, error.errors()[0]["msg"]) from error
    return dict(options)[name]


def _checked_axes(axes: Mapping[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    checked = {}
    for key, values in axes.items():
        typed = tuple(checked_value(key, value, key) for value in values)
        if not typed:
            raise mistake_at(key, "expected at least one value")
        if len(set(typed)) != len(typed):
            raise mistake_at(key, "the same value stands here twice")
        checked[key] = typed
    return checked


Settings = Annotated[dict[str, Any], AfterValidator(_checked_settings)]
Axes = Annotated[
    dict[str, Annotated[tuple[Any, ...], BeforeValidator(as_list)]], AfterValidator(_checked_axes)
]


class Where(Frozen):
    """Some of the points: each key that is given must have one of its values."""

    dataset: Annotated[tuple[str, ...], BeforeValidator(as_list)] | None = None
    pair: Annotated[tuple[str, ...], BeforeValidator(as_list)] | None = None
    teacher: Annotated[tuple[str, ...], BeforeValidator(as_list)] | None = None
    student: Annotated[tuple[str, ...], BeforeValidator(as_list)] | None = None
    augmentation: Annotated[tuple[str, ...], BeforeValidator(as_list)] | None = None
    seed: Annotated[tuple[Seed, ...], BeforeValidator(as_list)] | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise mistake(f"expected at least one of {', '.join(type(self).model_fields)}")
        return self

    def matches(self, point: Point) -> bool:
        return (
            (self.dataset is None or point.dataset in self.dataset)
            and (self.pair is None or str(point.pair) in self.pair)
            and (self.teacher is None or point.pair.teacher in self.teacher)
            and (self.student is None or point.pair.student in self.student)
            and (self.augmentation is None or point.augmentation in self.augmentation)
            and (self.seed is None or point.seed in self.seed)
        )

    def check_names(self, key: str, names: Mapping[str, tuple[Any, ...]]) -> None:
        """Raise a mistake where a value names nothing of the sweep: such a rule never acts."""
        for name in self.model_fields_set:
            for value in getattr(self, name) or ():
                if value not in names[name]:
                    words = [str(word) for word in names[name]]
                    raise mistake_at(
                        f"{key}/{name}",
                        f"{value} is no {name} of this sweep{did_you_mean(str(value), words)}",
                        of_a_name=True,
                    )


WHERE_OF_SECTION: Mapping[str, frozenset[str]] = {
    "teachers": frozenset({"dataset", "teacher"}),
    "stddev": frozenset({"dataset", "teacher", "augmentation", "seed"}),
    "randomness": frozenset({"dataset", "teacher", "augmentation", "seed"}),
    "student": frozenset(Where.model_fields),
}
"""What a rule may look at: a teacher, and its T. stddev, are one for all pairs that share it."""


class Override(Frozen):
    """Other hyper-parameters for some of the points."""

    where: Where
    set: Annotated[Settings, Field(min_length=1)]

    @model_validator(mode="after")
    def _looks_at_what_there_is(self) -> Self:
        for key in self.set:
            section = key.partition(".")[0]
            strange = sorted(self.where.model_fields_set - WHERE_OF_SECTION[section])
            if strange:
                allowed = ", ".join(sorted(WHERE_OF_SECTION[section]))
                raise mistake_at(
                    f"where/{strange[0]}",
                    f"{key} is shared by all pairs of a teacher: where may name {allowed}",
                )
        return self


@dataclass(frozen=True)
class Hyperparameters:
    """The sections of a sweep, as they are for one point."""

    teachers: TeacherSettings
    student: StudentSettings
    stddev: Measurement
    randomness: Randomness

    def with_settings(self, settings: Mapping[str, Any]) -> "Hyperparameters":
        """The same with some values replaced; keys and values are checked already."""
        sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
        options = dict(self.student.method_options)
        for key, value in settings.items():
            section, _, name = key.partition(".")
            if key.startswith(OPTION):
                options[key.removeprefix(OPTION)] = value
                sections["student"]["method_options"] = tuple(options.items())
            elif section in sections:
                sections[section][name] = value
        return Hyperparameters(
            teachers=self.teachers.model_copy(update=sections["teachers"]),
            student=self.student.model_copy(update=sections["student"]),
            stddev=self.stddev.model_copy(update=sections["stddev"]),
            randomness=settings.get("randomness", self.randomness),
        )
