"""How trials were made, but for augmentation and seed: which of them can stand in one panel, and its name."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from orchestrator.store.store import stored_trial
from trainer.catalog import ARCHITECTURES, default_learning_rate
from trainer.problems import UserError
from trainer.trial import canonical_json

OWN, IMPORTED = "own", "imported"
"""Where a row is from."""

SECTIONS = {"teacher": "teachers", "student": "student", "stddev": "stddev"}
"""Where sweep files have the hyper-parameters of each kind of trial."""

PICKS = ("pick_size", "n_pick", "cutmix_pick_scheme", "DA_pick_base")
"""Settings of picks; all but the first are those of imported runs."""

SPECIAL = frozenset({*PICKS, "randomness", "own_scheme"})
"""Settings that act in some schemes only; a trial in which one does not act goes with every value of it."""

MATCHED = (*PICKS, "temperature")
"""Settings that a student and a measurement have each for itself: equal values go together where there are any."""

SHARED = ("data", "precision")
"""The same of what all trials have."""

OF_THE_PAIR = frozenset({"teacher", "student", "kind"})
"""What the name of a panel says already."""


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
        kind, augmentation = identity.pop("kind"), identity.pop("augmentation")
        for name in ("seed", "student_fingerprint", "teacher_fingerprint"):
            identity.pop(name, None)
        special = SPECIAL | ({"temperature"} if kind == "stddev" else set())
        if kind == "stddev":
            identity.pop("student", None)
        names = {"own_scheme": f"own_scheme.{augmentation}"}
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


def variants(
    students: pd.DataFrame, stddevs: pd.DataFrame
) -> Iterator[tuple[Mapping[str, str], pd.DataFrame, pd.DataFrame]]:
    """Each whole setting that occurs, named, and the rows that go with it.

    Never crossed: a row joins the others of a setting only where all that it has agrees, and of what students and
    measurements have each for itself, equal values go together.

    Args:
        students: rows of one pair with equal `common`; empty where T. stddev alone is asked for.
        stddevs: rows of its teacher with equal `common`.
    """
    wholes = whole_settings(students["special"])
    measured = whole_settings(stddevs["special"])
    warmth = {_temperature(common) for common in students["common"]}
    for whole in wholes:
        own = {**whole, **({"temperature": warmth.copy().pop()} if len(warmth) == 1 else {})}
        for partner in _partners(own, measured, wholes) if len(students) else measured:
            chosen = {**whole, **partner}
            for name in MATCHED:
                if name in partner and partner[name] != own.get(name, partner[name]):
                    chosen.pop(name)
                    chosen[f"stddev.{name}"] = partner[name]
                    if name in whole:
                        chosen[f"student.{name}"] = whole[name]
                elif name == "temperature" and len(students):
                    chosen.pop(name, None)
            yield chosen, _with(students, whole), _with(stddevs, partner)


def whole_settings(partial: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The settings of which all given ones are parts, as far as they occur together; at least the empty one.

    A join: parts with equal names are put side by side with whatever they agree with.
    """
    distinct = {tuple(sorted(part.items())): dict(part) for part in partial}
    by_names: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for part in distinct.values():
        by_names.setdefault(tuple(sorted(part)), []).append(part)
    wholes: list[dict[str, str]] = [{}]
    for names in sorted(by_names, key=lambda names: (-len(names), names)):
        parts = by_names[names]
        joined = []
        for whole in wholes:
            fitting = [part for part in parts if _agree(whole, part)]
            joined += [whole | part for part in fitting] or [whole]
        joined += [part for part in parts if not any(_agree(whole, part) for whole in wholes)]
        wholes = list({tuple(sorted(w.items())): w for w in joined}.values())
    return sorted(wholes, key=lambda whole: sorted(whole.items()))


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(name, value) == value for name, value in other.items())


def _partners(
    own: Mapping[str, str],
    measured: Sequence[Mapping[str, str]],
    all_own: Sequence[Mapping[str, str]],
) -> list[Mapping[str, str]]:
    """The settings of measurements that go with a student's: equal ones or, where there are none, those that no
    other student's equals.
    """
    hard = {name: value for name, value in own.items() if name not in MATCHED}
    fitting = [partner for partner in measured if _agree(partner, hard)]
    for name in MATCHED:
        equal = [p for p in fitting if name not in p or p[name] == own.get(name)]
        taken = {other.get(name) for other in all_own}
        fitting = equal or [p for p in fitting if p[name] not in taken]
    return fitting or [{}]


def measurements_for(common: str, stddevs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The ways in which T. stddev was measured that go with a student's `common`, each with its rows.

    What both have, such as data and precision, is equal where it can be.
    """
    ways = [(str(way), rows) for way, rows in stddevs.groupby("common")]
    own = json.loads(common)
    for name in SHARED:
        equal = [(way, rows) for way, rows in ways if json.loads(way).get(name) == own.get(name)]
        ways = equal or ways
    return ways or [("{}", stddevs)]


def names_of(settings: Sequence[Mapping[str, str]], pairs: Sequence[object]) -> list[str]:
    """Names for the settings of several panels of one data set: what is not the same in all that have it.

    Within a pair, which teacher it was is told, too, and what only some have. A learning rate is told where
    it is not the architecture's own.

    Args:
        settings: a value is plain text or, as in `Setting.common`, a JSON object, whose fields are told apart.
        pairs: whose they are.
    """
    flat = [_flattened(setting) for setting in settings]
    keys = sorted({key for values in flat for key in values})
    shared = {
        k for k in keys if k != "teacher_fingerprint" and len({v[k] for v in flat if k in v}) > 1
    }
    names = []
    for values, pair in zip(flat, pairs, strict=True):
        of_pair = [v for v, other in zip(flat, pairs, strict=True) if other == pair]
        telling = shared | {k for k in keys if len({v.get(k) for v in of_pair}) > 1}
        names.append(
            ", ".join(f"{k}={shortened(values[k])}" for k in keys if k in telling & values.keys())
        )
    return names


def hyperparameters_of(setting: Mapping[str, str]) -> dict[str, str]:
    """Everything that a setting says, by name."""
    return dict(_flat(setting))


def all_hyperparameters(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Per row of a store, everything that it was made with, by name; what its teacher was made with, too.

    Raises:
        UserError: a trial is none that this kdsweep knows.
    """
    own = [hyperparameters(_identity(row)) for row in rows.to_dict("records")]
    teachers = of_teachers(rows)
    return [
        teachers.get(teacher, {}) | settings
        for teacher, settings in zip(rows["teacher_fingerprint"], own, strict=True)
    ]


def of_teachers(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """By fingerprint, what the teachers among some rows were made with."""
    teachers = rows[rows["kind"] == "teacher"].to_dict("records")
    return {str(row["fingerprint"]): hyperparameters(_identity(row)) for row in teachers}


def hyperparameters(identity: Mapping[str, Any]) -> dict[str, str]:
    """Everything that a trial was made with but its seed, by name: `student.epochs`, `randomness`."""
    identity = dict(identity)
    kind, augmentation = identity.pop("kind"), identity.pop("augmentation", None)
    for name in ("seed", "student_fingerprint"):
        identity.pop(name, None)
    teacher = identity.pop("teacher_fingerprint", None)
    of_schemes = {"randomness": "randomness", "own_scheme": f"own_scheme.{augmentation}"}
    section = SECTIONS[kind]
    named = {of_schemes.get(key, f"{section}.{key}"): value for key, value in identity.items()}
    return dict(_flat(named)) | ({"teacher_fingerprint": str(teacher)} if teacher else {})


def _flattened(setting: Mapping[str, str]) -> dict[str, str]:
    flat = dict(_flat(setting))
    architecture = flat.get("student.student", "")
    if architecture in ARCHITECTURES:
        usual = json.dumps(default_learning_rate(architecture))
        if flat.get("student.learning_rate") == usual:
            del flat["student.learning_rate"]
    named = {k: v for k, v in flat.items() if k.rpartition(".")[2] not in OF_THE_PAIR}
    # Of what both say alike, once is enough.
    return {
        k: v
        for k, v in named.items()
        if not (k.startswith("stddev.data.") and named.get(f"student.{k[len('stddev.') :]}") == v)
    }


def with_source(name: str, source: str) -> str:
    """The name of settings; what was imported says so, also where nothing else is like it."""
    if source == IMPORTED:
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
    fits = [all(chosen.get(k) == v for k, v in special.items()) for special in rows["special"]]
    return rows[np.asarray(fits, dtype=bool)]


def _temperature(common: str) -> str:
    return str(json.loads(common).get("temperature"))


def _flat(setting: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`{"student": '{"epochs": 240}'}` -> `("student.epochs", "240")`."""
    for key, value in setting.items():
        name = f"{prefix}{key}"
        content = json.loads(value) if isinstance(value, str) and value[:1] == "{" else value
        if isinstance(content, dict):
            yield from _flat(content, f"{name}.")
        else:
            yield name, content if isinstance(content, str) else json.dumps(content)


def shortened(value: str) -> str:
    """Digests by their first digits."""
    is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:8] if is_digest else value
