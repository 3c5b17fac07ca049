"""Identity: the fingerprints of every trial of every shipped sweep, and their cells, are what they always were.

A stored result is found by its fingerprint. Whoever moves one on purpose says which and why in the commit,
and writes the golden file anew: `python -m tests.test_fingerprints`.
"""

import hashlib
import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from tests.conftest import GOLDEN, golden

SWEEPS = sorted((Path(__file__).parents[1] / "sweeps").glob("*.yaml"))


def digests(sweep_file: Path) -> dict[str, str]:
    """By kind, the number of a sweep's trials and a SHA-256 over their sorted fingerprints and cells."""
    named: dict[str, list[str]] = defaultdict(list)
    for trial in expand(load_sweep(sweep_file)):
        named[trial.kind].append(f"{trial.fingerprint} {trial.cell}")
    return {
        kind: f"{len(lines)} {hashlib.sha256(chr(10).join(sorted(lines)).encode()).hexdigest()}"
        for kind, lines in named.items()
    }


@pytest.mark.parametrize("sweep_file", SWEEPS, ids=lambda path: path.stem)
def test_the_trials_of_a_shipped_sweep_keep_their_fingerprints(
    sweep_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A checkpoint that is not there is known by its path alone, which is relative to where one stands.
    monkeypatch.chdir("/")
    assert digests(sweep_file) == golden("fingerprints")[sweep_file.stem]


def test_every_shipped_sweep_is_held() -> None:
    assert sorted(golden("fingerprints")) == [path.stem for path in SWEEPS]


if __name__ == "__main__":
    os.chdir("/")
    content = {path.stem: digests(path) for path in SWEEPS}
    (GOLDEN / "fingerprints.json").write_text(json.dumps(content, indent=1) + "\n")
