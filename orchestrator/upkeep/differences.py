"""What differs between two trials, two results or two sweeps, field by field."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.store.columns import CURVE, METRICS
from orchestrator.store.store import Store
from trainer.positions import FINAL
from trainer.problems import PlacedError, shortened


@dataclass(frozen=True)
class Difference:
    """A field and its two values; None where one has no such field."""

    field: str
    one: Any
    other: Any

    def __str__(self) -> str:
        told = f"{self.field}: {_told(self.one)} -> {_told(self.other)}"
        size = self.size
        return told if size is None else f"{told} ({size:+.3g})"

    @property
    def size(self) -> float | None:
        """By how much the second number is larger; None of what is no number."""
        numbers = (self.one, self.other)
        if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
            return None
        return float(self.other - self.one)


def _told(value: Any) -> str:
    return "none" if value is None else shortened(value if isinstance(value, str) else str(value))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Of two values as JSON has them, in their order; nested keys are told as `dataset[0].name`."""
    first, second = dict(_fields(one)), dict(_fields(other))
    return [
        Difference(key, first.get(key), second.get(key))
        for key in dict.fromkeys((*first, *second))
        if not _is_equal(first.get(key), second.get(key))
    ]


def _fields(value: Mapping[str, Any], parents: str = "") -> Iterator[tuple[str, Any]]:
    for key, below in value.items():
        if isinstance(below, Mapping):
            yield from _fields(below, f"{parents}{key}.")
        elif isinstance(below, list) and any(isinstance(item, Mapping) for item in below):
            items = {f"{key}[{index}]": item for index, item in enumerate(below)}
            yield from _fields(items, parents)
        else:
            yield f"{parents}{key}", below


def _is_equal(one: Any, other: Any) -> bool:
    """Bit for bit, but that what is not a number is itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


@dataclass(frozen=True)
class Results:
    """How the results of two finished trials differ."""

    metrics: tuple[Difference, ...]
    is_curve_equal: bool
    are_weights_equal: bool | None
    """None: one of them, or both, has none."""

    @property
    def has_equal_bits(self) -> bool:
        return not self.metrics and self.is_curve_equal and self.are_weights_equal is not False

    @property
    def greatest(self) -> Difference | None:
        """The metric that differs by most; None where no number does."""
        sized = [difference for difference in self.metrics if difference.size is not None]
        return max(sized, key=lambda d: abs(d.size or 0.0), default=None)


def compared(one: Store, fingerprint: str, other: Store, other_fingerprint: str) -> Results:
    """The results of two finished trials: numbers, learning curves and final weights.

    Raises:
        UserError: a table is damaged.
    """
    first, second = (
        {name: row[name] for name in METRICS}
        for row in (_row(one, fingerprint), _row(other, other_fingerprint))
    )
    return Results(
        tuple(differences(first, second)),
        _curve(one, fingerprint) == _curve(other, other_fingerprint),
        _same_weights(_weights(one, fingerprint), _weights(other, other_fingerprint)),
    )


def _row(store: Store, fingerprint: str) -> Mapping[str, Any]:
    (row,) = store.results([fingerprint]).to_pylist()
    return dict(row)


def _curve(store: Store, fingerprint: str) -> Sequence[Mapping[str, Any]]:
    rows = store.rows.epochs([fingerprint], CURVE).to_pylist()
    return list(rows)


def _same_weights(one: bytes | None, other: bytes | None) -> bool | None:
    return None if one is None or other is None else one == other


def _weights(store: Store, fingerprint: str) -> bytes | None:
    """The tensors of a file of safetensors, with their names and shapes, but not whose they are."""
    try:
        content = store.checkpoint_folder(fingerprint).read(FINAL)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
    except FileNotFoundError:
        return None
    except ValueError as error:
        where = f"{store.checkpoint_folder(fingerprint).address}/{FINAL}"
        raise PlacedError(where, "damaged: no file of safetensors") from error
    header.pop("__metadata__", None)
    return json.dumps(header, sort_keys=True).encode() + content[8 + length :]
