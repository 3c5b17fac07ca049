"""Which rows of a store are shown: `--filter`, by what they are of and by how they were made.

A filter is written KEY=VALUE, KEY!=VALUE, or with several values KEY=VALUE,VALUE; a value may hold * and ?.
Several filters must all hold. Besides `KEYS`, a key is a hyper-parameter, as sweep files and tables name
them: `student.temperature`, `stddev.epochs`, `teachers.epochs` (of the teacher that a trial builds on),
`student.method_options.beta`, `randomness`, `own_scheme.NAME` (its version), `student.student_model` and
`teachers.teacher_model` (the version of one that is not kdsweep's); without the section in front, that of each
row's own kind. Digests are given by their first digits.

A row that has no such value stays: a T. stddev without a student belongs to whoever is left.
"""

import fnmatch
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.settings import SECTIONS, all_hyperparameters, shortened
from trainer.problems import UserError, did_you_mean
from trainer.trial import StddevTrial, StudentTrial, TeacherTrial

KEYS = ("dataset", "teacher", "student", "pair", "augmentation", "seed", "source")
"""What rows have in a column of their own."""

_NOT_SET = frozenset(
    {
        *("kind", "seed", "augmentation", "randomness", "own_scheme", "teacher", "student", "data"),
        *("teacher_fingerprint", "student_fingerprint", "student_cell", "checkpoint"),
        "method_options",
        *("teacher_model", "student_model"),
    }
)
OF_TRIALS = frozenset(
    f"{section}.{name}"
    for section, trial in (
        ("teachers", TeacherTrial),
        ("student", StudentTrial),
        ("stddev", StddevTrial),
    )
    for name in trial.model_fields
    if name not in _NOT_SET
) | {"randomness", "teacher_fingerprint"}
"""Hyper-parameters that are known also where no row has one."""

LEAST_DIGITS = 6
"""Of a digest, to stand for it."""

_FILTER = re.compile(r"(?P<key>[^=!]+)(?P<sign>!?=)(?P<values>.+)")


@dataclass(frozen=True)
class Filter:
    """Rows whose `key` is (or, if `negated`, is not) one of `patterns`.

    `whole` is what was written: a value that holds a comma itself, such as `[60, 120]`, is given by it.
    """

    key: str
    patterns: tuple[str, ...]
    negated: bool
    whole: str

    def __str__(self) -> str:
        """As a user writes it."""
        return f"{self.key}{'!' if self.negated else ''}={self.whole}"

    def names(self, value: str) -> bool:
        return any(_is(value, pattern) for pattern in (self.whole, *self.patterns))

    def holds(self, value: str) -> bool:
        return self.names(value) != self.negated


def parse_filters(texts: Sequence[str]) -> tuple[Filter, ...]:
    """Filters as a user writes them.

    Raises:
        UserError: a text is no filter.
    """
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Filter:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise UserError(
            f"--filter {text}: expected KEY=VALUE or KEY!=VALUE, as in dataset=cifar100"
        )
    patterns = tuple(value.strip() for value in match["values"].split(","))
    return Filter(
        match["key"].strip(), patterns, negated=match["sign"] == "!=", whole=match["values"].strip()
    )


def filtered(rows: pd.DataFrame, filters: Sequence[Filter]) -> pd.DataFrame:
    """The rows for which all filters hold.

    Args:
        rows: of a store, with the columns `source` and `pair` (`analysis.rows.read_rows`).
        filters: in any order; each is held against all rows.

    Raises:
        UserError: a key is unknown, a value is none that a row has, or no row is left.
    """
    asks = {wanted.key for wanted in filters}
    made_with = all_hyperparameters(rows) if asks - set(KEYS) or "augmentation" in asks else []
    kept = np.ones(len(rows), dtype=bool)
    for wanted in filters:
        if wanted.key in KEYS:
            of_rows = [_values(value) for value in rows[wanted.key]]
            if wanted.key == "augmentation":
                # A student without augmented images is of none, and of all.
                of_rows = [
                    [] if settings.get("student.augmented_weight") == "0.0" else values
                    for values, settings in zip(of_rows, made_with, strict=True)
                ]
        else:
            kinds = [SECTIONS[str(kind)] for kind in rows["kind"]]
            of_rows = [
                _named(wanted.key, settings, kind)
                for settings, kind in zip(made_with, kinds, strict=True)
            ]
            if not any(of_rows):
                _check_key(wanted.key, made_with)
        _check_patterns(wanted, sorted({value for values in of_rows for value in values}))
        kept &= np.array([all(map(wanted.holds, values)) for values in of_rows], dtype=bool)
    left = pd.DataFrame(rows[kept])
    if left.empty and len(rows):
        told = " ".join(f"--filter {wanted}" for wanted in filters)
        raise UserError(f"{told}: no trial of the store is left")
    return _of_their_teachers(left) if asks & {"student", "pair"} else left


def _of_their_teachers(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the rows of teachers none of whose students is left; all, where no student is there yet."""
    teachers = set(rows[rows["student"].notna()]["teacher_fingerprint"])
    if not teachers:
        return rows
    is_one = rows["fingerprint"].isin(teachers) | rows["teacher_fingerprint"].isin(teachers)
    return pd.DataFrame(rows[is_one])


def _values(value: object) -> list[str]:
    is_absent = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    return [] if is_absent else [str(value)]


def _named(key: str, settings: Mapping[str, str], section: str) -> list[str]:
    """The values of a hyper-parameter; without its section, that of the row's own kind."""
    return [settings[name] for name in (key, f"{section}.{key}") if name in settings]


def _is(value: str, pattern: str) -> bool:
    literal = pattern.replace("[", "[[]")
    if value.replace(" ", "") == pattern.replace(" ", "") or fnmatch.fnmatchcase(value, literal):
        return True
    if shortened(value) != value:
        return len(pattern) >= LEAST_DIGITS and value.startswith(pattern)
    try:
        return float(value) == float(pattern)
    except ValueError:
        return False


def _check_key(key: str, made_with: Sequence[Mapping[str, str]]) -> None:
    known = {*KEYS, *OF_TRIALS, *(name for settings in made_with for name in settings)}
    known |= {name.partition(".")[2] for name in known if "." in name}
    if key not in known:
        raise UserError(f"--filter {key}: unknown key {key!r}{did_you_mean(key, sorted(known))}")


def _check_patterns(wanted: Filter, values: Sequence[str]) -> None:
    if any(_is(value, wanted.whole) for value in values):
        return
    for pattern in wanted.patterns:
        if values and not any(_is(value, pattern) for value in values):
            shown = [shortened(value) for value in values]
            raise UserError(
                f"--filter {wanted.key}: the store has no {wanted.key} {pattern!r}"
                + did_you_mean(pattern, shown)
            )
