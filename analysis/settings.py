"""How trials were made, but for augmentation and seed: which of them can stand in one panel, and its name."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from analysis.rows import IMPORTED
from orchestrator.store.store import stored_trial
from trainer.problems import UserError
from trainer.trial import canonical_json

PICKS = ("pick_size", "n_pick", "cutmix_pick_scheme", "DA_pick_base")
"""Settings of picks; all but the first are those of imported runs."""

SPECIAL = frozenset({*PICKS, "randomness", "own_scheme"})
"""Settings that act in some schemes only; a trial in which one does not act goes with every value of it."""


@dataclass(frozen=True)
class Setting:
    """How a trial was made, but for its augmentation and seed.

    `common`, as JSON, is equal for trials that can stand in one panel; of the `special` settings, those that
    two trials both have must be equal too.
    """

    common: str
    special: Mapping[str, str]

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """The setting of a store's row.

        Raises:
            UserError: its trial is none that this kdsweep knows.
        """
        identity = _identity(row)
        kind, augmentation = identity.pop("kind"), identity.pop("augmentation")
        for name in ("seed", "student_fingerprint"):
            identity.pop(name, None)
        own_names = {
            **{name: f"{kind}.{name}" for name in PICKS},
            "randomness": "randomness",
            "own_scheme": f"own_scheme.{augmentation}",
            "temperature": "stddev.temperature",
        }
        special = SPECIAL | ({"temperature"} if kind == "stddev" else set())
        if kind == "stddev":
            identity.pop("student", None)
        return cls(
            common=canonical_json({k: v for k, v in identity.items() if k not in special}),
            special={own_names[k]: str(v) for k, v in identity.items() if k in special},
        )


def with_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their settings in the columns `common` and `special`."""
    settings = [Setting.of(row) for row in rows.to_dict("records")]
    # A column of objects, also where it is empty.
    special = pd.Series([s.special for s in settings], index=rows.index, dtype=object)
    return rows.assign(common=[s.common for s in settings], special=special)


def variants(
    students: pd.DataFrame, stddevs: pd.DataFrame
) -> Iterator[tuple[Mapping[str, str], pd.DataFrame, pd.DataFrame]]:
    """Each combination of special settings that occurs, and the rows that go with it."""
    values: dict[str, set[str]] = {}
    for special in (*students["special"], *stddevs["special"]):
        for name, value in special.items():
            values.setdefault(name, set()).add(value)
    for combination in itertools.product(*(sorted(v) for v in values.values())):
        chosen = dict(zip(values, combination, strict=True))
        yield chosen, _with(students, chosen), _with(stddevs, chosen)


def names_of(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Names for several settings: those of their values that are not the same in all; empty for one.

    A value is plain text or, as in `Setting.common`, a JSON object, whose fields are told apart.
    """
    flat = [dict(_flat(setting)) for setting in settings]
    keys = sorted({key for values in flat for key in values})
    telling = [k for k in keys if len({values.get(k) for values in flat}) > 1]
    return [", ".join(f"{k}={_short(v[k])}" for k in telling if k in v) for v in flat]


def with_source(name: str, source: str) -> str:
    """The name of settings; what was imported says so, also where nothing else is like it."""
    if source == IMPORTED and "source=" not in name:
        return ", ".join(filter(None, (name, source)))
    return name


def _identity(row: Mapping[Any, Any]) -> dict[str, Any]:
    if row["source"] != IMPORTED:
        return dict(stored_trial(row).identity)
    try:
        return dict(json.loads(row["trial"] or ""))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"imported {row['fingerprint'][:12]}: its settings are damaged: {error}"
        ) from error


def _with(rows: pd.DataFrame, chosen: Mapping[str, str]) -> pd.DataFrame:
    fits = [all(chosen[k] == v for k, v in special.items()) for special in rows["special"]]
    return rows[np.asarray(fits, dtype=bool)]


def _flat(setting: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`{"student": '{"epochs": 240}'}` -> `("student.epochs", "240")`; a teacher is named once."""
    for key, value in setting.items():
        name = f"{prefix}{key}"
        content = json.loads(value) if isinstance(value, str) and value[:1] == "{" else value
        if isinstance(content, dict):
            yield from _flat(content, f"{name}.")
        elif key != "teacher_fingerprint":
            yield name, content if isinstance(content, str) else json.dumps(content)


def _short(value: str) -> str:
    """Digests by their first digits."""
    is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:8] if is_digest else value
