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

`teacher_from` and `student_from` name the files of trials that this one depends on.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trainer.catalog import DATASETS, default_learning_rate
from trainer.problems import FileError, did_you_mean
from trainer.trial import TRIAL, Data, StudentTrial, Trial
from trainer.yaml_source import YamlSource, read_yaml

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
    role = "student" if fields.get("kind") == "student" else "teacher"
    if fields.get("kind") in {"teacher", "student"} and isinstance(fields.get(role), str):
        fields.setdefault("learning_rate", default_learning_rate(fields[role]))
    try:
        return TRIAL.validate_python(fields)
    except ValidationError as error:
        problems = [source.problem(d["loc"][1:], _message(d)) for d in error.errors()]
        raise FileError(problems) from error


def _message(details: ErrorDetails) -> str:
    return details["msg"].removeprefix("Value error, ")


def _resolve_data(source: YamlSource, fields: dict[str, Any]) -> None:
    if "dataset" not in fields:
        return
    name = fields.pop("dataset")
    if name not in DATASETS:
        message = f"unknown data set {name!r}{did_you_mean(str(name), DATASETS)}"
        raise FileError([source.problem(("dataset",), message)])
    counts = {key: fields.pop(key, None) for key in ("train_images", "test_images")}
    try:
        fields["data"] = Data.official(name, **counts)
    except ValidationError as error:
        raise FileError([source.problem(d["loc"], _message(d)) for d in error.errors()]) from error


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
