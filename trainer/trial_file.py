"""A trial in a YAML file, as `kdsweep trial` takes it.

Either everything is said, as in the `trial.yaml` that a sweep leaves in its store, or only what is not the
paper's default:

    kind: student
    dataset: fashion_mini
    teacher_from: teacher.yaml      # or teacher_fingerprint: ...
    student: resnet8
    augmentation: cutmix
    seed: 0
    epochs: 3

`teacher_from` and `student_from` name the files of trials that this one depends on. `dataset` may be images
of one's own as in a sweep, `checkpoint` the file of a published teacher or of a student's first weights; `scheme`,
`method_file`, `model` and `predictor_file` are files of one's own schemes, methods, architectures and predictors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from trainer.catalog import (
    ARCHITECTURES,
    DATASETS,
    FORMATS,
    RESIZED,
    default_learning_rate,
    library_of,
)
from trainer.datasets.errors import DataError
from trainer.datasets.own_images import identify
from trainer.descriptions import Wanted, described
from trainer.pins import check_pin
from trainer.problems import FileError, UserError, did_you_mean, message_of
from trainer.trial import (
    TRIAL,
    Count,
    Data,
    Deviations,
    Frozen,
    Means,
    Name,
    OwnFile,
    PredictorTrial,
    PublishedCheckpoint,
    StddevTrial,
    StudentTrial,
    TeacherTrial,
    Trial,
    check_normalisation,
)
from trainer.yaml_source import YamlSource, read_yaml

MODELS: Mapping[str, type[Trial]] = {
    "teacher": TeacherTrial,
    "student": StudentTrial,
    "stddev": StddevTrial,
    "predictor": PredictorTrial,
}
MAX_DEPTH = 3
"""A stddev trial may need a student, which needs a teacher."""


def read_trial(path: Path) -> Trial:
    """Read and validate a trial.

    Raises:
        UserError: the file, or one that it names, cannot be read.
        FileError: it is not YAML, or not a trial.
    """
    return _read(path, MAX_DEPTH)


def _read(path: Path, depth: int) -> Trial:
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise FileError([source.problem((), "expected the keys of a trial: kind, dataset, ...")])
    fields = dict(source.data)
    _resolve_dependencies(source, fields, depth)
    _resolve_data(source, fields)
    _resolve_files(source, fields)
    _resolve_models(source, fields)
    role = "student" if fields.get("kind") == "student" else "teacher"
    if fields.get("kind") in ("teacher", "student") and isinstance(fields.get(role), str):
        fields.setdefault("learning_rate", default_learning_rate(fields[role]))
    try:
        return TRIAL.validate_python(fields)
    except ValidationError as error:
        problems = [
            source.problem(details["loc"][1:], _message(details, str(fields.get("kind"))))
            for details in error.errors()
        ]
        raise FileError(problems) from error


def _message(details: ErrorDetails, section: str) -> str:
    """What is wrong in a section: `dataset`, or a trial of some kind."""
    key = str(details["loc"][-1]) if details["loc"] else ""
    match details["type"]:
        case "extra_forbidden":
            known = _Dataset.model_fields if section == "dataset" else MODELS[section].model_fields
            return f"unknown key{did_you_mean(key, [*known, 'dataset'])}"
        case "missing" if key.endswith("_fingerprint"):
            needed = key.removesuffix("_fingerprint")
            return f"this key is missing; {needed}_from: FILE names that trial's file instead"
        case "missing":
            return "this key is missing"
        case _:
            return message_of(details)


class _Dataset(Frozen):
    """`dataset` with its keys: official data cut down or, with a path, images of one's own as in a sweep."""

    name: Name
    format: Literal[FORMATS] | None = None  # type: ignore[valid-type]
    path: str | None = None
    image_size: Count | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    mean: Means | None = None
    std: Deviations | None = None

    @model_validator(mode="after")
    def _is_official_or_ones_own(self) -> Self:
        check_normalisation(self.mean, self.std)
        if self.path is None and self.name not in DATASETS:
            raise ValueError(f"unknown data set {self.name!r}{did_you_mean(self.name, DATASETS)}")
        if (self.path is None) != (self.format is None):
            raise ValueError("images of one's own have both a path and a format")
        if self.format in RESIZED and self.image_size is None:
            raise ValueError(f"format {self.format} needs image_size")
        if self.path is None and self.image_size is not None:
            raise ValueError("image_size is for images of one's own: add their path")
        return self

    def identified(self) -> Data:
        """The data; one's own are decoded to know them. Raises `DataError`."""
        if self.path is None:
            return Data.official(
                self.name, self.train_images, self.test_images, mean=self.mean, std=self.std
            )
        folder = Path(self.path).absolute()
        own = identify(str(self.format), folder, self.image_size)
        return Data(
            name=self.name,
            format=self.format,
            path=str(folder),
            checksum=own.checksum,
            num_classes=own.num_classes,
            image_size=own.image_size,
            train_images=self.train_images or own.train_images,
            test_images=self.test_images or own.test_images,
            mean=self.mean,
            std=self.std,
        )


def _resolve_data(source: YamlSource, fields: dict[str, Any]) -> None:
    """`dataset` by name, or with its keys; `train_images` and `test_images` may stand beside it."""
    if "dataset" not in fields:
        return
    dataset = fields.pop("dataset")
    counts = {key: fields.pop(key, None) for key in ("train_images", "test_images")}
    if isinstance(dataset, str):
        dataset = {"name": dataset}
    if not isinstance(dataset, dict):
        message = f"unknown data set {dataset!r}{did_you_mean(str(dataset), DATASETS)}"
        raise FileError([source.problem(("dataset",), message)])
    try:
        given = {key: count for key, count in counts.items() if count is not None}
        fields["data"] = _Dataset.model_validate({**dataset, **given}).identified()
    except ValidationError as error:
        problems = [
            source.problem(("dataset", *details["loc"]), _message(details, "dataset"))
            for details in error.errors()
        ]
        raise FileError(problems) from error
    except DataError as error:
        raise FileError([source.problem(("dataset",), str(error))]) from error


def _resolve_files(source: YamlSource, fields: dict[str, Any]) -> None:
    """`checkpoint: FILE` holds weights; `scheme`, `method_file` and `predictor_file` register something of one's own."""
    checkpoint = fields.get("checkpoint")
    if isinstance(checkpoint, str):
        published = PublishedCheckpoint.of(Path(checkpoint).absolute())
        if published.sha256 is None:
            raise FileError([source.problem(("checkpoint",), f"{checkpoint}: no such file")])
        check_pin(Path(published.path), published.sha256)
        fields["checkpoint"] = published
    for key, field in (
        ("scheme", "own_scheme"),
        ("method_file", "own_method"),
        ("predictor_file", "own_predictor"),
    ):
        path = fields.pop(key, None)
        if path is not None:
            fields[field] = _own_file(source, key, path)


def _resolve_models(source: YamlSource, fields: dict[str, Any]) -> None:
    """`model: FILE` registers the architectures that are neither kdsweep's nor a library's."""
    path, data = fields.pop("model", None), fields.get("data")
    file = _own_file(source, "model", path) if path is not None else None
    for role in ("teacher", "student"):
        name = fields.get(role)
        if not isinstance(name, str) or name in ARCHITECTURES or f"{role}_model" in fields:
            continue
        own = file if library_of(name) is None else None
        if not isinstance(data, Data) or (own is None and library_of(name) is None):
            continue
        wanted = Wanted(
            name=name, file=own, num_classes=data.num_classes, image_size=data.image_size
        )
        try:
            fields[f"{role}_model"] = described([wanted])[0]
        except UserError as error:
            raise FileError([source.problem((role,), str(error))]) from error


def _own_file(source: YamlSource, key: str, path: str) -> OwnFile:
    try:
        return OwnFile(path=path, source=Path(path).read_text())
    except (OSError, TypeError, ValueError) as error:
        raise FileError([source.problem((key,), f"{path}: cannot be read: {error}")]) from error


def _resolve_dependencies(source: YamlSource, fields: dict[str, Any], depth: int) -> None:
    for key, kind in (("teacher_from", "teacher"), ("student_from", "student")):
        if key not in fields:
            continue
        needed = source.path.parent / str(fields.pop(key))
        trial = _read(needed, depth - 1) if depth else None
        if trial is None or trial.kind != kind:
            message = f"{needed} is no {kind} trial"
            raise FileError([source.problem((key,), message)])
        fields.setdefault("teacher", trial.teacher)
        fields.setdefault("teacher_model", trial.teacher_model)
        fields[f"{kind}_fingerprint"] = trial.fingerprint
        if isinstance(trial, StudentTrial):
            fields["student"] = trial.student
            fields["student_model"] = trial.student_model
            fields["student_cell"] = trial.cell
            fields.setdefault("teacher_fingerprint", trial.teacher_fingerprint)
