"""The rows of a store as one table: own results, and imported ones, which `source` tells apart.

A filter is written KEY=VALUE, KEY!=VALUE, or with several values KEY=VALUE,VALUE; a value may hold * and ?.
Several filters must all hold:

    read_rows(store, parse_filters(["dataset=cifar100", "augmentation!=mixup,cutmix*"]))
"""

import fnmatch
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from orchestrator.store.store import Store
from trainer.problems import UserError, did_you_mean

OWN, IMPORTED = "own", "imported"

KEYS = ("dataset", "teacher", "student", "pair", "augmentation", "seed", "source")
_FILTER = re.compile(r"(?P<key>[^=!]+)(?P<sign>!?=)(?P<values>.+)")


@dataclass(frozen=True)
class Filter:
    """Rows whose `key` is (or, if `negated`, is not) one of `patterns`."""

    key: str
    patterns: tuple[str, ...]
    negated: bool

    def holds(self, value: str) -> bool:
        is_one = any(fnmatch.fnmatchcase(value, pattern) for pattern in self.patterns)
        return is_one != self.negated


def parse_filters(texts: Sequence[str]) -> tuple[Filter, ...]:
    """Filters as a user writes them.

    Raises:
        UserError: a text is no filter, or its key is unknown.
    """
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Filter:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise UserError(
            f"--filter {text}: expected KEY=VALUE or KEY!=VALUE, as in dataset=cifar100"
        )
    key = match["key"].strip()
    if key not in KEYS:
        raise UserError(f"--filter {text}: unknown key {key!r}{did_you_mean(key, KEYS)}")
    patterns = tuple(value.strip() for value in match["values"].split(","))
    return Filter(key, patterns, negated=match["sign"] == "!=")


def read_rows(
    store: Store, filters: Sequence[Filter] = (), fingerprints: Collection[str] | None = None
) -> pd.DataFrame:
    """One row per finished or imported trial; with the columns `source` and `pair` beside the store's.

    With `fingerprints`, rows of these trials alone.

    Raises:
        UserError: a filter names something that no row has.
    """
    own = store.results(fingerprints).to_pandas().assign(source=OWN)
    imported = store.imported().to_pandas()
    is_mixed = fingerprints is None and len(imported)
    rows = pd.concat([own, imported], ignore_index=True) if is_mixed else own
    rows["pair"] = rows["teacher"].astype(object) + "/" + rows["student"].astype(object)
    for wanted in filters:
        rows = _kept(rows, wanted)
    return pd.DataFrame(rows)


def _kept(rows: pd.DataFrame, wanted: Filter) -> pd.DataFrame:
    # What has no such value stays: a T. stddev without a student belongs to whoever is left.
    values = rows[wanted.key].dropna().astype(str)
    _check(wanted, sorted(set(values)))
    dropped = values.index[[not wanted.holds(value) for value in values]]
    return pd.DataFrame(rows.drop(index=dropped))


def _check(wanted: Filter, values: Sequence[str]) -> None:
    for pattern in wanted.patterns:
        if values and not any(fnmatch.fnmatchcase(value, pattern) for value in values):
            raise UserError(
                f"--filter {wanted.key}: the store has no {wanted.key} {pattern!r}"
                + did_you_mean(pattern, values)
            )
