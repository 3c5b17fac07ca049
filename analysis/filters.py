"""Which rows of a store are shown: `--filter`, by what they are of and by how they were made.

A filter is written KEY=VALUE, KEY!=VALUE, or with several values KEY=VALUE,VALUE; a value may hold * and ?.
Several filters must all hold. Besides `KEYS`, a key is a hyper-parameter, as sweep files and tables name
them: `student.temperature`, `stddev.epochs`, `teachers.epochs` (of the teacher that a trial builds on),
`randomness`, `own_scheme.NAME` (its version); without the section in front, of whichever trials have it. Digests
are given as they are printed, by their first digits.

A row that has no such value stays: a T. stddev without a student belongs to whoever is left.
"""

import fnmatch
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.settings import all_hyperparameters, shortened
from trainer.problems import UserError, did_you_mean
from trainer.trial import StddevTrial, StudentTrial, TeacherTrial

KEYS = ("dataset", "teacher", "student", "pair", "augmentation", "seed", "source")
"""What rows have in a column of their own."""

OF_TRIALS = frozenset(
    f"{section}.{name}"
    for section, trial in (
        ("teachers", TeacherTrial),
        ("student", StudentTrial),
        ("stddev", StddevTrial),
    )
    for name in trial.model_fields
) | {"randomness"}
"""Known also where no row has one."""

_FILTER = re.compile(r"(?P<key>[^=!]+)(?P<sign>!?=)(?P<values>.+)")


@dataclass(frozen=True)
class Filter:
    """Rows whose `key` is (or, if `negated`, is not) one of `patterns`."""

    key: str
    patterns: tuple[str, ...]
    negated: bool

    def holds(self, value: str) -> bool:
        return any(_is(value, pattern) for pattern in self.patterns) != self.negated


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
    return Filter(match["key"].strip(), patterns, negated=match["sign"] == "!=")


def filtered(rows: pd.DataFrame, filters: Sequence[Filter]) -> pd.DataFrame:
    """The rows for which all filters hold.

    Args:
        rows: of a store, with the columns `source` and `pair` (`analysis.rows.read_rows`).
        filters: in any order; each is held against all rows.

    Raises:
        UserError: a key is unknown, or a value is none that a row has.
    """
    made_with = all_hyperparameters(rows) if any(f.key not in KEYS for f in filters) else []
    kept = np.ones(len(rows), dtype=bool)
    for wanted in filters:
        if wanted.key in KEYS:
            of_rows = [_values(value) for value in rows[wanted.key]]
        else:
            of_rows = [_named(wanted.key, settings) for settings in made_with]
            if not any(of_rows):
                _check_key(wanted.key, made_with)
        _check_patterns(wanted, sorted({value for values in of_rows for value in values}))
        kept &= np.array([all(map(wanted.holds, values)) for values in of_rows], dtype=bool)
    return pd.DataFrame(rows[kept])


def _values(value: object) -> list[str]:
    is_absent = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    return [] if is_absent else [str(value)]


def _named(key: str, settings: Mapping[str, str]) -> list[str]:
    """The values of a hyper-parameter, whether its section is said or not."""
    return [v for name, v in settings.items() if key in (name, name.partition(".")[2])]


def _is(value: str, pattern: str) -> bool:
    texts = {value, shortened(value)}
    if any(fnmatch.fnmatchcase(text, pattern) for text in texts):
        return True
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
    for pattern in wanted.patterns:
        if values and not any(_is(value, pattern) for value in values):
            shown = [shortened(value) for value in values]
            raise UserError(
                f"--filter {wanted.key}: the store has no {wanted.key} {pattern!r}"
                + did_you_mean(pattern, shown)
            )
