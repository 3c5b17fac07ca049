"""Power that was stated before: what `plan --power --keep` left in a store, in words, with what had finished by then."""

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from analysis.correlation_tables import counted
from analysis.power import MOST_AUGMENTATIONS
from orchestrator.store.store import Store, is_named_rightly


def stated_power(store: Store, sweeps: Collection[str] | None) -> list[str]:
    """A sentence for each statement, the oldest first; of some sweeps by name, or of all. What is damaged is left out."""
    found: list[Mapping[str, Any]] = [
        json.loads(content)
        for name, content in store.stated_power().items()
        if is_named_rightly(name, content)
    ]
    shown = [stated for stated in found if sweeps is None or stated["sweep"]["name"] in sweeps]
    return [" ".join(_words(s)) for s in sorted(shown, key=lambda stated: stated["stated_at"])]


def _words(stated: Mapping[str, Any]) -> Iterator[str]:
    power, at = stated["power"], datetime.fromisoformat(stated["stated_at"])
    assumed, own = power["assumptions"], power["own"]
    yield (
        f"Power of {stated['sweep']['name']} was stated on {at:%Y-%m-%d %H:%M} UTC, when {stated['num_students_finished']} "
        f"of its {stated['num_students']} students had finished:"
    )
    yield (
        f"if Pearson's correlation without seed noise is {assumed['rho']:.2f} and the noise of one seed "
        f"{assumed['noise']['t_stddev']:.2f} (T. stddev) and {assumed['noise']['s_test_loss']:.2f} (S. test loss) standard "
        f"deviations over augmentations ({assumed['source']}),"
    )
    shares = ", ".join(f"{name.capitalize()} {share:.0%}" for name, share in own["alone"].items())
    many = "so many" if own["n"] <= MOST_AUGMENTATIONS else "at least so many"
    yield (
        f"tests at {power['level']:.0%} find it in {many} studies of {own['n']} augmentations and "
        f"{counted(own['num_seeds'], 'seed')}: {shares}."
    )
