"""How trials were made, but for augmentation and seed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Self

import pandas as pd

from orchestrator.store.store import stored_trial
from trainer.problems import UserError
from trainer.trial import canonical_json

OWN, IMPORTED = "own", "imported"
"""Where a row is from."""

SECTIONS = {"teacher": "teachers", "student": "student", "stddev": "stddev", "predictor": "stddev"}
"""Where sweep files have the hyper-parameters of each kind of trial."""

MEASURING = ("stddev", "predictor")
"""The kinds of trials that only run a teacher."""

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
    is_of_all: bool = False

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """The setting of a store's row.

        Raises:
            UserError: its trial is none that this kdsweep knows.
        """
        identity = _identity(row)
        kind = identity.pop("kind")
        identity.pop("augmentation")
        for name in ("seed", "student_fingerprint", "teacher_fingerprint"):
            identity.pop(name, None)
        special = SPECIAL | ({"temperature"} if kind in MEASURING else set())
        if kind in MEASURING:
            identity.pop("student", None)
        names = {"own_scheme": own_scheme_name(row)} if "own_scheme" in identity else {}
        return cls(
            common=canonical_json({k: v for k, v in identity.items() if k not in special}),
            special={names.get(k, k): str(v) for k, v in identity.items() if k in special},
            is_of_all=identity.get("augmented_weight") == 0,
        )


def with_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their settings in the columns `common` and `special`.

    `is_of_all` says of a student that it was trained without augmented images: it stands for each augmentation.
    """
    settings = [Setting.of(row) for row in rows.to_dict("records")]
    # A column of objects, also where it is empty.
    special = pd.Series([s.special for s in settings], index=rows.index, dtype=object)
    of_all = pd.Series([s.is_of_all for s in settings], index=rows.index, dtype=bool)
    return rows.assign(common=[s.common for s in settings], special=special, is_of_all=of_all)


def all_hyperparameters(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Per row of a store, everything that it was made with, by name; what its teacher was made with, too.

    Raises:
        UserError: a trial is none that this kdsweep knows.
    """
    own = [row_hyperparameters(row) for row in rows.to_dict("records")]
    teachers = of_teachers(rows)
    return [
        teachers.get(teacher, {}) | settings
        for teacher, settings in zip(rows["teacher_fingerprint"], own, strict=True)
    ]


def of_teachers(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """By fingerprint, what the teachers among some rows were made with."""
    teachers = rows[rows["kind"] == "teacher"].to_dict("records")
    return {str(row["fingerprint"]): row_hyperparameters(row) for row in teachers}


def row_hyperparameters(row: Mapping[Any, Any]) -> dict[str, str]:
    """Everything that the trial of a row was made with but its seed, by name."""
    identity = _identity(row)
    scheme = own_scheme_name(row) if "own_scheme" in identity else ""
    return hyperparameters(identity, scheme)


def own_scheme_name(row: Mapping[Any, Any]) -> str:
    """`own_scheme.mine`, by the file that a scheme is in: all that it registers has one version."""
    trial = stored_trial(row) if row["source"] != IMPORTED else None
    scheme = getattr(trial, "own_scheme", None)
    stem = PurePath(scheme.path).stem if scheme else ""
    return f"own_scheme.{stem}"


def hyperparameters(identity: Mapping[str, Any], own_scheme: str = "own_scheme") -> dict[str, str]:
    """Everything that a trial was made with but its seed, by name: `student.epochs`, `randomness`."""
    identity = {key: value for key, value in identity.items() if value is not None}
    kind = identity.pop("kind")
    for name in ("augmentation", "seed", "student_fingerprint"):
        identity.pop(name, None)
    teacher = identity.pop("teacher_fingerprint", None)
    of_schemes = {"randomness": "randomness", "own_scheme": own_scheme}
    section = SECTIONS[kind]
    named = {of_schemes.get(key, f"{section}.{key}"): value for key, value in identity.items()}
    return dict(flat(named)) | ({"teacher_fingerprint": str(teacher)} if teacher else {})


def with_source(name: str, source: str) -> str:
    """The name of settings; what was imported says so, also where nothing else is like it."""
    if source == IMPORTED:
        return ", ".join(filter(None, (name, source)))
    return name


def _identity(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What acts in a row's trial, also what no identity says of it."""
    if row["source"] != IMPORTED:
        return {k: v for k, v in stored_trial(row).settings.items() if v is not None}
    try:
        return dict(json.loads(row["trial"] or ""))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"imported {row['fingerprint'][:12]}: its settings are damaged: {error}"
        ) from error


def flat(setting: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`{"student": {"epochs": 240}}` -> `("student.epochs", "240")`."""
    for key, value in setting.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from flat(value, f"{name}.")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


def shortened(value: str) -> str:
    """Digests by their first digits."""
    is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:8] if is_digest else value
