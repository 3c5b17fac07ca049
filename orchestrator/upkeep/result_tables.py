"""Rows of a table that other software made, as rows of a store. Pure: records in, rows out.

A record has one value, or several, of one run:

| column | what it is |
|---|---|
| `dataset`, `teacher`, `augmentation` | names; kdsweep need not know them |
| `student` | a name; needed where there is an S. test loss |
| `seed` | a whole number; nothing is 0 |
| `s_test_loss`, `s_accuracy` | of the student; the accuracy is a share of 1 |
| `t_stddev` | of the teacher alone: records that differ in the student only repeat it, or leave it out |
| `predictor.NAME` | any other number that the teacher alone yields |

A record with an S. test loss makes a row of the kind `student`, one with a T. stddev, or what kdsweep measures beside
it, a row of the kind `stddev`, and each predictor that is not kdsweep's one of the kind `predictor`. All are known by what was run and the seed, so the order of records, and what is repeated, change
nothing; two records that say different things of one run are refused. So are records that cannot be read: then
there are no rows at all, and each is told with its place.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from trainer.catalog import PREDICTORS, pick_of
from trainer.problems import MOST_TOLD, UserError, did_you_mean, printable, shortened
from trainer.trial import Name, canonical_json, digest

NAMES = ("dataset", "teacher", "augmentation")
METRICS: Mapping[str, str] = {
    "s_test_loss": "test_loss",
    "s_accuracy": "test_accuracy",
    "t_stddev": "t_stddev",
}
"""Numbers of a record, and what a store calls them."""

PREDICTOR = "predictor."
BESIDE: Mapping[str, str] = {
    f"{PREDICTOR}{name}": name for name in PREDICTORS if name not in METRICS
}
"""The predictors that kdsweep measures beside T. stddev, likewise."""

COLUMNS = (*NAMES, "student", "seed", *METRICS)
"""What is read under its own name; besides, whatever begins with `PREDICTOR`."""

MOST_RECORDS = 1_000_000
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class Record:
    """One line of a table. `place` is where it stands, for messages: `results.csv:7`."""

    place: str
    values: Mapping[str, Any]


@dataclass
class Found:
    """What the records say of one run; `places` has the first that said each thing."""

    identity: Mapping[str, Any]
    seed: int
    values: dict[str, float] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        return digest({**self.identity, "seed": self.seed})

    @property
    def columns(self) -> Mapping[str, str]:
        """What may be said of it, and what a store calls that."""
        if self.identity["kind"] == "predictor":
            return {f"{PREDICTOR}{self.identity['predictor']}": "predictor_value"}
        return {**METRICS, **BESIDE}

    def row(self) -> dict[str, Any]:
        """As a store's imported rows have it, without where it came from."""
        student = self.identity.get("student")
        names = {name: self.identity[name] for name in ("kind", *NAMES, "teacher_fingerprint")}
        return {
            **names,
            "fingerprint": self.fingerprint,
            "student": student,
            "seed": self.seed,
            "cell": digest(self.identity),
            **{column: self.values.get(name) for name, column in self.columns.items()},
            "predictor": self.identity.get("predictor"),
            # A table does not say which end of its scale is the better one.
            "predictor_lower_is_better": True if "predictor" in self.identity else None,
            "trial": canonical_json(self.identity),
            "source": "imported",
            "form": "table",
        }


def columns_meant(given: Sequence[str], mapped: Mapping[str, str], where: str) -> dict[str, str]:
    """Which columns of a table are read, by what they are read as.

    Args:
        given: the table's columns.
        mapped: theirs -> ours (`COLUMNS`, or `predictor.NAME`); goes before a column that has our name already.
        where: the table, for messages.

    Raises:
        UserError: a column is unknown, meant twice or missing, or nothing but names is left.
    """
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise UserError(f"{where}: two columns {printable(twice[0])!r}")
    meant = {name: name for name in given if is_read(name)}
    ours: dict[str, str] = {}
    for theirs, name in mapped.items():
        if theirs not in given:
            raise UserError(
                f"--columns {theirs}={name}: no such column in {where}{_near(theirs, given)}"
            )
        if not is_read(name):
            raise UserError(f"--columns {theirs}={name}: unknown{_meant_by(name)}")
        if name in ours:
            raise UserError(f"--columns: both {ours[name]!r} and {theirs!r} are to be {name}")
        ours[name] = theirs
        if theirs in meant and theirs not in mapped.values():
            del meant[theirs]
    meant |= ours
    for name in NAMES:
        if name not in meant:
            raise UserError(
                f"{where}: no column {name!r}; it has {_list(given)}; --columns THEIRS={name} names the one that is meant"
            )
    if not any(name in METRICS or name.startswith(PREDICTOR) for name in meant):
        raise UserError(
            f"{where}: no column {', '.join(METRICS)} or predictor.NAME; it has {_list(given)}; "
            "--columns THEIRS=s_test_loss names the one that is meant"
        )
    return meant


def is_read(column: str) -> bool:
    """Whether a column of this name is read: one of `COLUMNS`, or a predictor whose own name can be one.

    `predictor.t_stddev` is none: it would stand beside T. stddev under its name.
    """
    name = column.removeprefix(PREDICTOR)
    return column in COLUMNS or (
        column.startswith(PREDICTOR) and _is_name(name) and name not in METRICS
    )


def runs_of(records: Iterable[Record]) -> list[Found]:
    """What the records say, run by run, sorted by fingerprint.

    Raises:
        UserError: a record cannot be read, says nothing, or contradicts another; one line each.
    """
    found: dict[str, Found] = {}
    problems: list[str] = []
    for number, record in enumerate(records):
        if number == MOST_RECORDS:
            raise UserError(f"{record.place}: more than {MOST_RECORDS:,} records")
        try:
            for run in _runs(record):
                _join(found.setdefault(run.fingerprint, run), run)
        except _RecordError as error:
            problems += [f"{record.place}: {problem}" for problem in error.problems]
    refuse(problems)
    return [found[fingerprint] for fingerprint in sorted(found)]


def refuse(problems: Sequence[str]) -> None:
    """Raise `UserError` with these lines, where there are any; the first are told."""
    if problems:
        more = len(problems) - MOST_TOLD
        told = [*problems[:MOST_TOLD], *([f"and {more:,} more mistakes"] if more > 0 else [])]
        raise UserError("\n".join(told))


class _RecordError(Exception):
    """What is wrong with one record."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems


def _runs(record: Record) -> Iterator[Found]:
    """The runs of which a record tells: the student, what was measured of the teacher, each predictor besides."""
    problems: list[str] = []

    def checked(read: Any, name: str) -> Any:
        try:
            return read(record.values.get(name))
        except ValueError as error:
            problems.append(f"{name}: {error}")
            return None

    names = {name: checked(_needed_name, name) for name in NAMES}
    student = checked(_name, "student")
    seed = checked(_seed, "seed")
    given = (n for n in record.values if n in METRICS or n.startswith(PREDICTOR))
    numbers = {name: checked(_reader(name), name) for name in given}
    numbers = {name: number for name, number in numbers.items() if number is not None}
    if problems:
        raise _RecordError(*problems)
    of_student: dict[str, float] = {
        name: numbers.pop(name) for name in ("s_test_loss", "s_accuracy") if name in numbers
    }
    pick = pick_of(names["augmentation"])
    is_of_student = pick is not None and pick.needs_student
    if "s_accuracy" in of_student and "s_test_loss" not in of_student:
        raise _RecordError("s_accuracy: expected an s_test_loss beside it")
    if not of_student and not numbers:
        raise _RecordError("neither an s_test_loss nor a t_stddev nor another predictor")
    if student is None and (of_student or is_of_student):
        what = (
            "an s_test_loss" if of_student else f"{names['augmentation']}, which a student picks,"
        )
        raise _RecordError(f"student: {what} needs the student's name")
    teacher = {"imported": "table", "dataset": names["dataset"], "teacher": names["teacher"]}
    shared = {**names, "teacher_fingerprint": digest(teacher)}
    if of_student:
        identity = {**shared, "kind": "student", "student": student}
        yield Found(identity, seed, of_student, dict.fromkeys(of_student, record.place))
    shared |= {"student": student} if is_of_student else {}
    beside = {name: numbers.pop(name) for name in (*METRICS, *BESIDE) if name in numbers}
    if beside:
        identity = {**shared, "kind": "stddev"}
        yield Found(identity, seed, beside, dict.fromkeys(beside, record.place))
    for name, value in numbers.items():
        identity = {**shared, "kind": "predictor", "predictor": name.removeprefix(PREDICTOR)}
        yield Found(identity, seed, {name: value}, {name: record.place})


def _join(known: Found, run: Found) -> None:
    """Add what a record says of a run to what was known of it."""
    for name, value in run.values.items():
        if known.values.setdefault(name, value) != value:
            raise _RecordError(
                f"{name}: {value} of the same run as in {known.places[name]}, where it is {known.values[name]}"
                + ("; a column seed tells runs apart" if run.seed == 0 else "")
            )
        known.places.setdefault(name, run.places[name])


def is_absent(value: Any) -> bool:
    """Whether there is nothing in a cell."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def _name(value: Any) -> str | None:
    if is_absent(value):
        return None
    text = str(value).strip()
    if not _is_name(text):
        fit = _NOT_IN_NAMES.sub("_", text).lstrip("._+-")[:64]
        near = f"; {fit!r} would do" if _is_name(fit) else ""
        raise ValueError(
            f"{printable(shortened(text))!r} is no name: up to 64 letters, digits and ._+-, a letter or digit first{near}"
        )
    return text


def _needed_name(value: Any) -> str:
    name = _name(value)
    if name is None:
        raise ValueError("expected a name, there is nothing")
    return name


def _number(value: Any) -> float | None:
    if is_absent(value):
        return None
    try:
        if isinstance(value, bool | bytes):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        told = printable(shortened(str(value)))
        raise ValueError(f"expected a finite number, or nothing, not {told!r}")
    return number + 0.0


def _seed(value: Any) -> int:
    number = _number(value) or 0.0
    # A float has no room for the digits of a long one.
    whole = int(str(value)) if re.fullmatch(r"\s*\d+\s*", str(value)) else int(number)
    if number != int(number) or not 0 <= whole < 2**63:
        raise ValueError(f"expected a whole number from 0, below 2**63, not {str(value)!r}")
    return whole


def _reader(name: str) -> Any:
    most = 1.0 if name == "s_accuracy" else math.inf
    least = -math.inf if name.startswith(PREDICTOR) else 0.0

    def read(value: Any) -> float | None:
        number = _number(value)
        if number is not None and not least <= number <= most:
            expected = "a share of 1, as 0.7342" if most == 1 else "0 or more"
            raise ValueError(f"expected {expected}, not {value}")
        return number

    return read


def _meant_by(name: str) -> str:
    """The column that a word for one may stand for."""
    own = name.removeprefix(PREDICTOR)
    if own != name and own in METRICS:
        return f"; did you mean {own!r}?"
    return _near(name, (*COLUMNS, "predictor.NAME"))


def _near(name: str, known: Sequence[str]) -> str:
    return printable(did_you_mean(name, known))


def _list(names: Sequence[str]) -> str:
    return printable(shortened(", ".join(map(repr, names)), 300))
