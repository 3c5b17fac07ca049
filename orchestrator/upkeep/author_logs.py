"""Reads one log.txt of the authors' own code (PAPER.md, section 9). Pure: text in, one run out.

What a run was is taken from the line with all options, `('key': value) ('key': value) ...`. It is a T. stddev
run if its student was fixed; those logs have accuracy lines as well. A test loss counts at the run's last
epoch only, and a T. stddev run is complete only then, so logs of runs that were cut off are refused.
No seed is logged: the run's id takes its place.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, get_args

from trainer.catalog import ARCHITECTURES, Pick, pick_of
from trainer.problems import UserError, did_you_mean

_OPTION = re.compile(r"\('([^']+)': (.*?)\)(?= \('|$)")
_PREFIX = re.compile(r"^\[(\d{6}) (\d+) (\d{4})/(\d\d)/(\d\d)-(\d\d:\d\d:\d\d)\] ")
_RUN_ID = re.compile(r"_SERVER(\d{0,4})-(\d{8})-(\d{6})")
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

_NAMED = frozenset(
    {
        *("dataset", "model_t", "model_s", "mix_mode", "cutmix_pick_criterion", "mix_n_run"),
        *("epochs", "epoch_factor", "fix_student", "learning_rate"),
    }
)
"""Options that a run says under names of its own; epochs are multiplied by their factor already."""

_INERT = frozenset(
    {
        *("project_name", "ExpID", "CodeID", "experiments_dir", "note", "cache_ignore", "trial"),
        *("model_path", "tb_path", "entropy_log", "num_workers", "save_crd_loss"),
        *("print_freq", "print_interval", "save_freq", "save_img_interval", "tb_freq"),
        *("save_entropy_log_step", "gpu_id", "gpu", "hostname"),
    }
)
"""What cannot act: where to write, how often to print and save, names, workers, the code's id."""

_OF_TRAINING = frozenset(
    {
        *("kd_T", "kd_S", "gamma", "alpha", "beta", "lw_mix", "lr_decay_epochs", "lr_decay_rate"),
        *("momentum", "weight_decay", "weight_decay_schedule"),
    }
)
"""What cannot act where no student is trained."""

_OBJECT = re.compile(r"<.* object at 0x[0-9a-f]+>")
"""How Python prints a value without a form of its own: it tells nothing, and is never the same twice."""

_PICKS_ONLY = frozenset({"n_pick", "cutmix_pick_scheme", "DA_pick_base"})


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
    """Every other option that can act: runs that differ in one are never averaged."""
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

    def count(self, key: str) -> int:
        value = self.number(key)
        if value != int(value) or value < 0:
            self.refuse(f"{key}: expected a whole number, not {self.get(key)!r}")
        return int(value)

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
    _refuse_another_run(lines, options)
    if "model" in options.values and "model_s" not in options.values:
        options.refuse(
            f"the log of a teacher's training ({options.get('model')}): only runs of students and of "
            "T. stddev are imported"
        )
    is_stddev = options.one_of("fix_student", ("True", "False")) == "True"
    multiplied = options.count("epochs")
    epochs = _epochs_asked_for(lines) or multiplied
    curve = _curve(lines, name)
    if not curve or curve[-1]["epoch"] != epochs:
        told = f"ends after epoch {curve[-1]['epoch']}" if curve else "has no accuracy line"
        raise UserError(f"{name}:{len(lines)}: {told}; its run was to reach epoch {epochs}")
    std, windows = _stddev(lines, name, epochs) if is_stddev else (None, None)
    best = max(curve, key=lambda point: float(point["test_accuracy"]))
    run_id, seed = _run_id(lines, name)
    last = None if is_stddev else curve[-1]
    augmentation = _augmentation(options)
    return AuthorRun(
        kind="stddev" if is_stddev else "student",
        run_id=run_id,
        seed=seed,
        dataset=DATASETS[options.one_of("dataset", tuple(DATASETS))],
        teacher=options.one_of("model_t", ARCHITECTURES),
        student=options.one_of("model_s", ARCHITECTURES),
        augmentation=augmentation,
        epochs=epochs,
        settings=dict(_settings(options, augmentation, is_stddev=is_stddev)),
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
        if _is_options(line):
            return _Options(name, number, dict(_OPTION.findall(_PREFIX.sub("", line).rstrip())))
    raise UserError(
        f"{name}:1: no line with options ('key': value); not a log of the authors' code"
    )


def _settings(
    options: _Options, augmentation: str, *, is_stddev: bool
) -> Iterator[tuple[str, str]]:
    """Every option that can act in this run, but those that it says under names of its own."""
    pick = pick_of(augmentation)
    idle = _NAMED | _INERT
    if pick is None:
        idle |= _PICKS_ONLY
    if is_stddev:
        idle |= _OF_TRAINING
        if pick is not None and pick.criterion == "kld":
            idle -= {"kd_T"}
    for key, value in options.values.items():
        if key in idle or _OBJECT.fullmatch(value):
            continue
        if is_stddev and key == "finetune_student":
            # It names this seed's own student; whether there is one is a setting, which is no.
            yield key, "a trained one" if value else ""
        else:
            yield key, _canonical(value)
    if (dataset := options.get("dataset")) not in DATASETS.values():
        yield "dataset_option", dataset
    if not is_stddev:
        yield "learning_rate", repr(options.number("learning_rate"))


def _canonical(value: str) -> str:
    """Equal numbers are equal, however they are written."""
    try:
        number = float(value)
    except ValueError:
        return value
    return repr(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


_ASKED_FOR = re.compile(r"\s--(epochs|epoch_factor)[ =](\d{1,6}(?:\.\d{1,6})?)(?=\s|$)")


def _epochs_asked_for(lines: Sequence[str]) -> int | None:
    """Epochs by the command line in the head, which has them and their factor apart; None where it has neither.

    The options line has them multiplied already.
    """
    for line in lines:
        if _PREFIX.match(line) or line.startswith("('"):
            return None
        asked = {name: float(value) for name, value in _ASKED_FOR.findall(line)}
        if "epochs" in asked:
            return round(asked["epochs"] * max(1.0, asked.get("epoch_factor", 1.0)))
    return None


def _refuse_another_run(lines: Sequence[str], options: _Options) -> None:
    """Two logs in one file would make one row of the options of one and the numbers of the other."""
    ids: dict[str, int] = {}
    last = {"epoch": 0, "stddev": 0}
    for number, line in enumerate(lines, start=1):
        told = ""
        if number != options.line and _is_options(line):
            told = "another options line"
        elif OWN_FOLDER in line and (found := _RUN_ID.search(line)):
            ids.setdefault(found.group(), number)
            told = f"another run's id, {found.group()[1:]}" if len(ids) > 1 else ""
        else:
            for what, pattern in (("epoch", _ACCURACY), ("stddev", _STDDEV)):
                if found := pattern.search(line):
                    epoch = int(found["epoch"])
                    told = told or (
                        f"epoch {epoch} after {last[what]}" if epoch < last[what] else ""
                    )
                    last[what] = epoch
        if told:
            raise UserError(
                f"{options.name}:{number}: {told}: more than one run; a file of its own for each"
            )


def _is_options(line: str) -> bool:
    return _PREFIX.sub("", line).startswith("('")


def _augmentation(options: _Options) -> str:
    mode = options.one_of("mix_mode", (*SCHEMES, PICK))
    if mode != PICK:
        return mode
    criterion: Criterion = options.one_of("cutmix_pick_criterion", get_args(Criterion))  # type: ignore[assignment]
    runs = options.count("mix_n_run")
    name = Pick("cutmix", runs, criterion).name
    if pick_of(name) is None:
        options.refuse(f"mix_n_run: no pick is of {runs} runs")
    return name


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
