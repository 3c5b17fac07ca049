"""The sections of a sweep file: pairs, data, schemes, hyper-parameters, resources."""

import os
import string
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from orchestrator.language.mistakes import EVERY, known, mistake, mistake_at
from trainer.catalog import (
    ARCHITECTURES,
    DATASETS,
    FORMATS,
    MODEL_LIBRARIES,
    RESIZED,
    library_of,
)
from trainer.problems import did_you_mean
from trainer.trial import (
    Count,
    Deviations,
    Distillation,
    Frozen,
    Means,
    Name,
    Number,
    Rate,
    Seed,
    Training,
    check_normalisation,
)


class Pair(Frozen):
    """Teacher and student architecture, written `wrn_40_2/wrn_16_2`."""

    teacher: str
    student: str

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, Mapping):
            value = f"{value.get('teacher')}/{value.get('student')}"
        if not isinstance(value, str):
            raise mistake(f"expected TEACHER/STUDENT, as in resnet20/resnet8, not {value!r}")
        teacher, slash, student = value.partition("/")
        if not slash:
            raise mistake(f"expected TEACHER/STUDENT, as in resnet20/resnet8, not {value!r}")
        return {"teacher": teacher, "student": student}

    def checked(self, own: Collection[str]) -> Self:
        """The same, of architectures that kdsweep, a library or files of one's own have; else a mistake."""
        for name in (self.teacher, self.student):
            if library_of(name) is None and name not in own and name not in ARCHITECTURES:
                libraries = tuple(f"{library}:NAME" for library in MODEL_LIBRARIES)
                hint = did_you_mean(name, (*ARCHITECTURES, *own, *libraries))
                raise mistake_at("", f"unknown model {name!r}{hint}", of_a_name=True)
        return self

    def __str__(self) -> str:
        return f"{self.teacher}/{self.student}"

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        name = r"[A-Za-z0-9][A-Za-z0-9._+:-]*"
        return {"type": "string", "pattern": f"^{name}/{name}$"}


class DatasetChoice(Frozen):
    """An official data set by name, or images of one's own in a folder; whole, or cut down.

    One's own have a `path` and one of the `FORMATS`; an imagefolder or parquet also the size that its images get.
    `mean` and `std` normalise the images, as a published teacher's training did; fractions of 1, red first.
    """

    name: Name
    train_images: Count | None = None
    test_images: Count | None = None
    path: str | None = None
    format: str | None = None
    image_size: Annotated[int, Field(ge=8, le=1024), Number] | None = None
    mean: Means | None = None
    std: Deviations | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(DATASETS)}, handler.resolve_ref_schema(handler(schema))]}

    @field_validator("format")
    @classmethod
    def _is_a_format(cls, word: str | None) -> str | None:
        return None if word is None else known(word, FORMATS, "format")

    @model_validator(mode="after")
    def _is_known_or_ones_own(self) -> Self:
        try:
            check_normalisation(self.mean, self.std)
        except ValueError as error:
            raise mistake(str(error)) from error
        if self.path is None:
            known(self.name, tuple(DATASETS), "data set")
            if self.format or self.image_size:
                raise mistake("format and image_size are for images of your own: add their path")
            return self._checked_counts()
        if self.format is None:
            raise mistake(f"expected the format of {self.path}: one of {', '.join(FORMATS)}")
        if (self.format in RESIZED) != (self.image_size is not None):
            verb = "needs" if self.format in RESIZED else "has no"
            raise mistake(f"format {self.format} {verb} image_size")
        return self

    def _checked_counts(self) -> Self:
        facts = DATASETS[self.name]
        for wanted, available in (
            (self.train_images, facts.train_images),
            (self.test_images, facts.test_images),
        ):
            if wanted is not None and not facts.num_classes <= wanted <= available:
                raise mistake(
                    f"{wanted} images wanted of {self.name}; "
                    f"expected {facts.num_classes} (one of each class) to {available}",
                )
        return self


PLACEHOLDERS = ("teacher", "dataset")
OF_STUDENTS = ("student", *PLACEHOLDERS)


def _checked_pattern(pattern: str, placeholders: tuple[str, ...] = PLACEHOLDERS) -> str:
    try:
        fields = [field for _, field, *_ in string.Formatter().parse(pattern) if field is not None]
    except ValueError as error:
        raise mistake(f"{pattern!r}: {error}") from error
    for field in fields:
        if field in placeholders and f"{{{field}}}" not in pattern:
            raise mistake(f"{pattern!r}: write {{{field}}} alone, without a format")
        if field not in placeholders:
            raise mistake(f"unknown placeholder {{{field}}}{did_you_mean(field, placeholders)}")
    return pattern


Pattern = Annotated[str, AfterValidator(_checked_pattern)]
"""A path in which `{teacher}` and `{dataset}` stand for names."""

StudentPattern = Annotated[str, AfterValidator(lambda v: _checked_pattern(v, OF_STUDENTS))]
"""The same, with `{student}`."""

_for_every = BeforeValidator(lambda v: {EVERY: v} if isinstance(v, str) else v)


def _path_of(patterns: Mapping[str, str], **names: str) -> Path | None:
    """The file that a pattern stands for, of those for one data set or for every; None where there is none."""
    pattern = patterns.get(names["dataset"], patterns.get(EVERY))
    if pattern is None:
        return None
    return Path(os.path.expanduser(pattern.format(**names))).absolute()  # noqa: PTH111


class TeacherSettings(Training):
    """How teachers are trained, or where published ones lie: one pattern, or one per data set."""

    seed: Seed = 0
    learning_rate: Rate | None = None
    checkpoint: Annotated[dict[str, Pattern], _for_every] = Field(default_factory=dict)

    def checkpoint_path(self, dataset: str, teacher: str) -> Path | None:
        """The file of a published teacher; None where teachers are trained."""
        return _path_of(self.checkpoint, dataset=dataset, teacher=teacher)


class StudentSettings(Distillation):
    """`epoch_factor` prolongs training: epochs and milestones are multiplied by it."""

    learning_rate: Rate | None = None
    epoch_factor: Annotated[int, Field(ge=1, le=1000), Number] = 1
    checkpoint: Annotated[dict[str, StudentPattern], _for_every] = Field(default_factory=dict)
    """Where the weights lie that students begin with: one pattern, or one per data set."""

    def checkpoint_path(self, dataset: str, pair: Pair) -> Path | None:
        """The file that a student begins with; None where its weights are drawn."""
        names = {"dataset": dataset, "teacher": pair.teacher, "student": pair.student}
        return _path_of(self.checkpoint, **names)
