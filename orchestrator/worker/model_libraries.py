"""The libraries that trials take their models from."""

from collections.abc import Iterable

from orchestrator.store.provenance import version_of
from trainer.catalog import library_of
from trainer.trial import Trial, guests_of


def model_library_versions(trials: Iterable[Trial]) -> dict[str, str]:
    """Their versions on this machine, by name; of one that is not there, that it is not."""
    named = (library_of(name) for trial in trials for name in guests_of(trial))
    libraries = sorted({library for library in named if library is not None})
    return {name: version_of(name) or "not installed" for name in libraries}
