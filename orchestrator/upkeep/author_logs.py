"""Reads one log.txt of the authors' own code (PAPER.md, section 9). Pure: text in, one run out.

What a run was is taken from the line with all options, `('key': value) ('key': value) ...`. It is a T. stddev
run if its student was fixed; those logs have accuracy lines as well. A test loss counts at the run's last
epoch only, and a T. stddev run is complete only then, so logs of runs that were cut off are refused.
No seed is logged: the run's id takes its place.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, get_args

from trainer.catalog import ARCHITECTURES, Pick, pick_of
from trainer.problems import UserError, did_you_mean

_OPTION = re.compile(r"\('([^']+)': (.*?)\)(?= \('|$)")
_PREFIX = re.compile(r"^\[(\d{6}) (\d+) (\d{4})/(\d\d)/(\d\d)-(\d\d:\d\d:\d\d)\] ")
_RUN_ID = re.compile(r"_SERVER(\d*)-(\d{8})-(\d{6})")
_ACCURACY = re.compile(
    r"Acc1 (?P<acc1>\S+) Acc5 (?P<acc5>\S+) TestLoss (?P<loss>\S+) Epoch (?P<epoch>\d+) "
    r"\(after update\) lr (?P<rate>\S+)"
)
_STDDEV = re.compile(
    r"Check T prob: NumOfSampledStd (?P<windows>\d+) Epoch (?P<epoch>\d+) .*?MeanStd (?P<std>\S+)"
)

DATASETS: Mapping[str, str] = {
    "cifar100": "cifar100",
    "tinyimagenet": "tinyimagenet",
    "tinyimagenet_v2": "tinyimagenet",
}
SCHEMES = ("identity", "flip", "crop+flip", "cutout", "autoaugment", "mixup", "cutmix")
PICK = "cutmix_pick"
Criterion = Literal["student_entropy", "teacher_entropy", "kld"]

_SETTINGS = (
    *("batch_size", "kd_T", "gamma", "alpha", "beta", "lw_mix", "epoch_factor", "lr_decay_epochs"),
    *("lr_decay_rate", "momentum", "weight_decay", "weight_decay_schedule", "path_t", "n_pick"),
    *("distill", "cutmix_pick_scheme", "DA_pick_base", "cut_size", "bbox", "ratio_CE_loss"),
    *("t_output_as_target_for_input_mix", "input_mix_no_kld_epoch", "modify_student_input"),
    *("lr_DA", "use_DA", "no_DA", "online_augment", "stack_input", "two_loader"),
)
"""Options that can change a result beside the named ones: runs that differ in them are never averaged."""


@dataclass(frozen=True)
class AuthorRun:
    """One finished run of the authors' code."""

    kind: str
    run_id: str
    seed: int
    """The digits of the run's id: server, date, time."""
    dataset: str
    teacher: str
    student: str
    augmentation: str
    epochs: int
    settings: Mapping[str, str]
    test_loss: float | None
    test_accuracy: float | None
    best_accuracy: float | None
    best_epoch: int | None
    t_stddev: float | None
    num_windows: int | None
    curve: tuple[Mapping[str, Any], ...]
    started_at: datetime


@dataclass(frozen=True)
class _Options:
    """The options line, where it stands, and how to refuse it."""

    name: str
    line: int
    values: Mapping[str, str]

    def refuse(self, message: str) -> NoReturn:
        raise UserError(f"{self.name}:{self.line}: {message}")

    def get(self, key: str) -> str:
        if key not in self.values:
            self.refuse(f"the options line has no {key!r}{did_you_mean(key, self.values)}")
        return self.values[key]

    def number(self, key: str) -> float:
        text = self.get(key)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.refuse(f"{key}: expected a number, not {text!r}")
        return value

    def one_of(self, key: str, known: Sequence[str]) -> str:
        text = self.get(key)
        if text not in known:
            self.refuse(f"{key}: unknown {text!r}{did_you_mean(text, known)}")
        return text


def parse_log(text: str, name: str) -> AuthorRun:
    """The run that a log tells of; `name` is the log's own, for messages.

    Raises:
        UserError: it is no such log, names something unknown, or its run did not reach its end.
    """
    lines = text.splitlines()
    options = _options(lines, name)
    is_stddev = options.one_of("fix_student", ("True", "False")) == "True"
    factor = max(1, int(options.number("epoch_factor"))) if "epoch_factor" in options.values else 1
    epochs = int(options.number("epochs")) * factor
    curve = _curve(lines, name)
    if not curve or curve[-1]["epoch"] != epochs:
        told = f"ends after epoch {curve[-1]['epoch']}" if curve else "has no accuracy line"
        raise UserError(f"{name}:{len(lines)}: {told}; its run was to reach epoch {epochs}")
    std, windows = _stddev(lines, name, epochs) if is_stddev else (None, None)
    best = max(curve, key=lambda point: float(point["test_accuracy"]))
    run_id, seed = _run_id(lines, name)
    last = None if is_stddev else curve[-1]
    settings = {key: options.values[key] for key in _SETTINGS if key in options.values}
    return AuthorRun(
        kind="stddev" if is_stddev else "student",
        run_id=run_id,
        seed=seed,
        dataset=DATASETS[options.one_of("dataset", tuple(DATASETS))],
        teacher=options.one_of("model_t", ARCHITECTURES),
        student=options.one_of("model_s", ARCHITECTURES),
        augmentation=_augmentation(options),
        epochs=epochs,
        settings={**settings, "learning_rate": repr(options.number("learning_rate"))},
        test_loss=last["test_loss"] if last else None,
        test_accuracy=last["test_accuracy"] if last else None,
        best_accuracy=best["test_accuracy"] if last else None,
        best_epoch=best["epoch"] if last else None,
        t_stddev=std,
        num_windows=windows,
        curve=() if is_stddev else curve,
        started_at=_started_at(lines, name),
    )


def needs_student(run: AuthorRun) -> bool:
    """Whether the student's name belongs to what was run."""
    pick = pick_of(run.augmentation)
    return run.kind == "student" or (pick is not None and pick.needs_student)


def _options(lines: Sequence[str], name: str) -> _Options:
    for number, line in enumerate(lines, start=1):
        if _PREFIX.sub("", line).startswith("('"):
            return _Options(name, number, dict(_OPTION.findall(_PREFIX.sub("", line).rstrip())))
    raise UserError(
        f"{name}:1: no line with options ('key': value); not a log of the authors' code"
    )


def _augmentation(options: _Options) -> str:
    mode = options.one_of("mix_mode", (*SCHEMES, PICK))
    if mode != PICK:
        return mode
    criterion: Criterion = options.one_of("cutmix_pick_criterion", get_args(Criterion))  # type: ignore[assignment]
    runs = int(options.number("mix_n_run"))
    return Pick("cutmix", runs, criterion).name


def _curve(lines: Sequence[str], name: str) -> tuple[dict[str, Any], ...]:
    curve: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        match = _ACCURACY.search(line)
        if match is None:
            if "TestLoss" in line:
                raise UserError(f"{name}:{number}: an accuracy line that cannot be read")
            continue
        epoch = int(match["epoch"])
        curve[epoch] = {
            "epoch": epoch,
            "test_loss": _float(match["loss"], name, number),
            "test_accuracy": _float(match["acc1"], name, number) / 100,
            "learning_rate": _float(match["rate"], name, number),
        }
    return tuple(curve[epoch] for epoch in sorted(curve))


def _stddev(lines: Sequence[str], name: str, epochs: int) -> tuple[float, int]:
    """The last T. stddev of a run and its number of windows."""
    lines_told = [
        (number, match)
        for number, line in enumerate(lines, start=1)
        if (match := _STDDEV.search(line)) is not None
    ]
    if not lines_told:
        raise UserError(f"{name}:{len(lines)}: its student was fixed, but it has no T. stddev line")
    number, last = lines_told[-1]
    if int(last["epoch"]) != epochs:
        raise UserError(
            f"{name}:{number}: the last T. stddev is of epoch {last['epoch']} of {epochs}"
        )
    value = _float(last["std"], name, number)
    if not math.isfinite(value):
        raise UserError(f"{name}:{number}: T. stddev is {last['std']}: fewer than two windows")
    return value, int(last["windows"])


def _float(text: str, name: str, number: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{name}:{number}: expected a number, not {text!r}") from None


OWN_FOLDER = "Caching various config files to"
"""Behind these words a log names its own folder; other lines may name the teacher's."""


def _run_id(lines: Sequence[str], name: str) -> tuple[str, int]:
    """`SERVER015-20261123-014719` and its digits as a number; without such a line, from the first prefix."""
    own = [line for line in lines if OWN_FOLDER in line]
    for line in own or lines:
        if match := _RUN_ID.search(line):
            server, date, time = match.groups()
            return f"SERVER{server}-{date}-{time}", int(f"{server}{date}{time}")
    for line in lines:
        if match := _PREFIX.match(line):
            started, process, year, month, day, _ = match.groups()
            return f"{year}{month}{day}-{started}-{process}", int(f"{year}{month}{day}{started}")
    raise UserError(f"{name}:1: no line with a time, so nothing tells this run from others")


def _started_at(lines: Sequence[str], name: str) -> datetime:
    for number, line in enumerate(lines, start=1):
        if match := _PREFIX.match(line):
            _, _, year, month, day, clock = match.groups()
            try:
                return datetime.fromisoformat(f"{year}-{month}-{day}T{clock}").replace(tzinfo=UTC)
            except ValueError:
                raise UserError(f"{name}:{number}: not a time") from None
    raise UserError(f"{name}:1: no line with a time")
