"""How trials were made, but for augmentation and seed: which of them can stand in one panel."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from trainer.trial import TRIAL, digest

SPECIAL = frozenset({"pick_size", "randomness", "own_scheme"})
"""Settings that act in some schemes only; a trial in which one does not act goes with every value of it."""


@dataclass(frozen=True)
class Setting:
    """How a trial was made, but for its augmentation and seed.

    `common` is equal for trials that can stand in one panel; of the `special` settings, those that two
    trials both have must be equal too.
    """

    common: str
    special: Mapping[str, str]

    @classmethod
    def of(cls, trial: str) -> Self:
        """The setting of a trial in its written form (JSON)."""
        parsed = TRIAL.validate_json(trial)
        identity = dict(parsed.identity)
        kind, augmentation = identity.pop("kind"), identity.pop("augmentation")
        for name in ("seed", "student_fingerprint"):
            identity.pop(name, None)
        own_names = {
            "pick_size": f"{kind}.pick_size",
            "randomness": "randomness",
            "own_scheme": f"own_scheme.{augmentation}",
            "temperature": "stddev.temperature",
        }
        special = SPECIAL | ({"temperature"} if kind == "stddev" else set())
        if kind == "stddev":
            identity.pop("student", None)
        return cls(
            common=digest({k: v for k, v in identity.items() if k not in special}),
            special={own_names[k]: str(v) for k, v in identity.items() if k in special},
        )


def variants(
    students: pd.DataFrame, stddevs: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """The rows for each combination of special settings that occurs."""
    values: dict[str, set[str]] = {}
    for special in (*students["special"], *stddevs["special"]):
        for name, value in special.items():
            values.setdefault(name, set()).add(value)
    for combination in itertools.product(*(sorted(v) for v in values.values())):
        chosen = dict(zip(values, combination, strict=True))
        yield _with(students, chosen), _with(stddevs, chosen)


def _with(rows: pd.DataFrame, chosen: Mapping[str, str]) -> pd.DataFrame:
    fits = [all(chosen[k] == v for k, v in special.items()) for special in rows["special"]]
    return rows[np.asarray(fits, dtype=bool)]
