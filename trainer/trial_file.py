"""A trial in a YAML file, as `python -m trainer` takes it.

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
of one's own as in a sweep, `checkpoint` a published teacher's file, `scheme` a file of schemes of one's own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trainer.catalog import ARCHITECTURES, DATASETS, default_learning_rate
from trainer.datasets.errors import DataError
from trainer.datasets.own_images import identify
from trainer.problems import FileError, did_you_mean
from trainer.trial import (
    TRIAL,
    Data,
    OwnScheme,
    PublishedCheckpoint,
    StddevTrial,
    StudentTrial,
    TeacherTrial,
    Trial,
)
from trainer.yaml_source import YamlSource, read_yaml

MODELS: Mapping[str, type[Trial]] = {
    "teacher": TeacherTrial,
    "student": StudentTrial,
    "stddev": StddevTrial,
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
    role = "student" if fields.get("kind") == "student" else "teacher"
    if fields.get("kind") in ("teacher", "student") and isinstance(fields.get(role), str):
        fields.setdefault("learning_rate", default_learning_rate(fields[role]))
    try:
        return TRIAL.validate_python(fields)
    except ValidationError as error:
        problems = [source.problem(d["loc"][1:], _message(d)) for d in error.errors()]
        raise FileError(problems) from error


def _message(details: ErrorDetails) -> str:
    key = str(details["loc"][-1]) if details["loc"] else ""
    match details["type"]:
        case "extra_forbidden":
            kind = str(details["loc"][0])
            return f"unknown key{did_you_mean(key, [*MODELS[kind].model_fields, 'dataset'])}"
        case "missing" if key.endswith("_fingerprint"):
            needed = key.removesuffix("_fingerprint")
            return f"this key is missing; {needed}_from: FILE names that trial's file instead"
        case "missing":
            return "this key is missing"
        case "literal_error" if key in ("teacher", "student"):
            return f"unknown model {details['input']!r}{did_you_mean(str(details['input']), ARCHITECTURES)}"
        case _:
            return details["msg"].removeprefix("Value error, ")


def _resolve_data(source: YamlSource, fields: dict[str, Any]) -> None:
    """`dataset` by name, or one's own as a sweep has it, with `train_images` and `test_images`."""
    if "dataset" not in fields:
        return
    dataset = fields.pop("dataset")
    counts = {key: fields.pop(key, None) for key in ("train_images", "test_images")}
    try:
        if isinstance(dataset, dict) and "path" not in dataset:
            fields["data"] = Data.official(**{**dataset, **{k: v for k, v in counts.items() if v}})
        elif isinstance(dataset, dict):
            fields["data"] = _own_data(**{**dataset, **{k: v for k, v in counts.items() if v}})
        elif isinstance(dataset, str) and dataset in DATASETS:
            fields["data"] = Data.official(dataset, **counts)
        else:
            message = f"unknown data set {dataset!r}{did_you_mean(str(dataset), DATASETS)}"
            raise FileError([source.problem(("dataset",), message)])
    except ValidationError as error:
        raise FileError([source.problem(d["loc"], _message(d)) for d in error.errors()]) from error
    except KeyError as error:
        message = f"unknown data set {error}{did_you_mean(str(error.args[0]), DATASETS)}"
        raise FileError([source.problem(("dataset",), message)]) from error
    except (TypeError, DataError) as error:
        message = str(error).removeprefix("_own_data() ").removeprefix("Data.official() ")
        raise FileError([source.problem(("dataset",), message)]) from error


def _own_data(
    name: str,
    format: str,  # noqa: A002
    path: str,
    image_size: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
) -> Data:
    folder = Path(path).absolute()
    found = identify(format, folder, image_size)
    return Data(
        name=name,
        format=format,
        path=str(folder),
        checksum=found.checksum,
        num_classes=found.num_classes,
        image_size=found.image_size,
        train_images=train_images or found.train_images,
        test_images=test_images or found.test_images,
    )


def _resolve_files(source: YamlSource, fields: dict[str, Any]) -> None:
    """`checkpoint: FILE` is a published teacher, `scheme: FILE` registers a scheme of one's own."""
    checkpoint, scheme = fields.get("checkpoint"), fields.pop("scheme", None)
    if isinstance(checkpoint, str):
        published = PublishedCheckpoint.of(Path(checkpoint).absolute())
        if published.sha256 is None:
            raise FileError([source.problem(("checkpoint",), f"{checkpoint}: no such file")])
        fields["checkpoint"] = published
    if scheme is not None:
        try:
            fields["own_scheme"] = OwnScheme(path=scheme, source=Path(scheme).read_text())
        except (OSError, TypeError, ValueError) as error:
            message = f"{scheme}: cannot be read: {error}"
            raise FileError([source.problem(("scheme",), message)]) from error


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
        fields[f"{kind}_fingerprint"] = trial.fingerprint
        if isinstance(trial, StudentTrial):
            fields["student"] = trial.student
            fields["student_cell"] = trial.cell
            fields.setdefault("teacher_fingerprint", trial.teacher_fingerprint)
