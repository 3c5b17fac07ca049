"""Which trials can stand in one panel: those whose settings occur together, never crossed.

A row has settings of its own; some act in some schemes only, such as a pick size. Rows whose settings agree are put
together to whole settings (`units`), and students with the measurements of T. stddev that go with them (`pairings`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.families import Naming
from analysis.settings import PICKS
from trainer.trial import canonical_json

MATCHED = (*PICKS, "temperature")
"""Settings that a student and a measurement have each for itself: equal values go together where there are any."""

SHARED = ("data", "precision")
"""The same of what all trials have."""


@dataclass(frozen=True)
class Planned:
    """Which trials were planned together: by fingerprint, those of each sweep that a store keeps.

    Rows do not say which sweep asked for them. Where this does, no panel is put together of two sweeps.
    `namings` are what each of the sweeps calls families.
    """

    sweeps: tuple[frozenset[str], ...] = ()
    namings: tuple[Naming, ...] = ()

    def of(self, fingerprints: Iterable[str]) -> frozenset[int]:
        """The sweeps that have any of some trials."""
        wanted = frozenset(fingerprints)
        return frozenset(i for i, sweep in enumerate(self.sweeps) if not sweep.isdisjoint(wanted))

    def namings_of(self, fingerprints: Iterable[str]) -> tuple[Naming, ...]:
        """What the sweeps that have any of some trials call families."""
        return tuple(self.namings[i] for i in sorted(self.of(fingerprints)) if self.namings)


NOT_TOLD = Planned()
"""Where nothing is known: whatever agrees may have been planned together."""


def _together(one: frozenset[int], other: frozenset[int]) -> bool:
    """Whether any sweep has both; what no sweep has may belong to all."""
    return not one or not other or not one.isdisjoint(other)


@dataclass(frozen=True)
class Part:
    """Special settings that some rows have, and the sweeps that asked for those."""

    settings: Mapping[str, str]
    sweeps: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Whole:
    """Parts that occur together, as one setting."""

    settings: Mapping[str, str]
    parts: tuple[Part, ...]

    def takes(self, part: Part) -> bool:
        """Whether a part agrees with it, and may have occurred with each of its parts."""
        return _agree(self.settings, part.settings) and all(
            _together(own.sweeps, part.sweeps) for own in self.parts
        )

    def with_part(self, part: Part) -> "Whole":
        return Whole({**self.settings, **part.settings}, (*self.parts, part))


def whole_settings(parts: Sequence[Part]) -> list[Whole]:
    """The settings of which all given ones are parts, as far as they occur together; at least the empty one.

    A join: parts with equal names are put side by side with whatever they agree with.
    """
    by_names: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        by_names.setdefault(tuple(sorted(part.settings)), []).append(part)
    wholes = [Whole({}, ())]
    for names in sorted(by_names, key=lambda names: (-len(names), names)):
        joined: list[Whole] = []
        taken: set[int] = set()
        for whole in wholes:
            fitting = [part for part in by_names[names] if whole.takes(part)]
            taken.update(map(id, fitting))
            joined += [whole.with_part(part) for part in fitting] or [whole]
        joined += [Whole(p.settings, (p,)) for p in by_names[names] if id(p) not in taken]
        wholes = joined
    return sorted(wholes, key=lambda whole: sorted(whole.settings.items()))


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(name, value) == value for name, value in other.items())


@dataclass(frozen=True)
class Unit:
    """Rows of one kind under one whole setting."""

    common: str
    whole: Whole
    rows: pd.DataFrame

    @property
    def matched(self) -> dict[str, str]:
        """What a student and a measurement have each for itself, but should have alike."""
        common = json.loads(self.common)
        own = {name: canonical_json(common[name]) for name in SHARED if name in common}
        if "temperature" in common:
            own["temperature"] = str(common["temperature"])
        return own | {k: v for k, v in self.whole.settings.items() if k in MATCHED}

    @property
    def hard(self) -> dict[str, str]:
        return {k: v for k, v in self.whole.settings.items() if k not in MATCHED}


def units(rows: pd.DataFrame, planned: Planned) -> list[Unit]:
    """The rows of one kind (`with_settings`) by whole setting; a row stands in each that it agrees with."""
    found = []
    for common, group in rows.groupby("common"):
        keys = [canonical_json(special) for special in group["special"]]
        parts = {
            key: Part(
                json.loads(key),
                planned.of(f for f, k in zip(group["fingerprint"], keys, strict=True) if k == key),
            )
            for key in dict.fromkeys(keys)
        }
        for whole in whole_settings(list(parts.values())):
            own = {key for key, part in parts.items() if any(part is p for p in whole.parts)}
            fits = np.array([key in own for key in keys], dtype=bool)
            found.append(Unit(str(common), whole, group[fits]))
    return found


def pairings(students: Sequence[Unit], measured: Sequence[Unit]) -> list[tuple[Unit, Unit | None]]:
    """Which measurements of T. stddev go with which students: those that occurred together, equal ones first.

    Of what both have each for itself, such as a pick size, equal values go together. Where there is none,
    a student goes with the measurements that have no equal student or, where there are none, with all; and
    so does a measurement, so that each stands somewhere.
    """
    fitting = [
        (i, j)
        for i, student in enumerate(students)
        for j, unit in enumerate(measured)
        if _agree(student.hard, unit.hard)
        and all(
            _together(p.sweeps, q.sweeps) for p in student.whole.parts for q in unit.whole.parts
        )
    ]
    equal = [(i, j) for i, j in fitting if _agree(students[i].matched, measured[j].matched)]
    lone_students = set(range(len(students))) - {i for i, _ in equal}
    lone_measured = set(range(len(measured))) - {j for _, j in equal}
    both_lone = [(i, j) for i, j in fitting if i in lone_students and j in lone_measured]
    lone_students -= {i for i, _ in both_lone}
    lone_measured -= {j for _, j in both_lone}
    rest = [(i, j) for i, j in fitting if i in lone_students or j in lone_measured]
    chosen = dict.fromkeys([*equal, *both_lone, *rest])
    alone = set(range(len(students))) - {i for i, _ in chosen}
    return [
        *((students[i], measured[j]) for i, j in chosen),
        *((students[i], None) for i in sorted(alone)),
    ]
