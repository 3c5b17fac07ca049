"""A head that was started by its full path, as a service does: its environment is in no `PATH`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator.commands import run
from tests.orchestrator.raylets import WITH_TOKEN, Raylets
from tests.orchestrator.sweeps import write_sweep

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def cluster(home: Path) -> Iterator[Raylets]:
    raylets = Raylets(home)
    try:
        raylets.start_head(environment={"PATH": "/usr/bin:/bin"})
        yield raylets
    finally:
        raylets.stop()


def test_a_job_runs_by_the_python_that_started_its_head(
    home: Path, cluster: Raylets, tmp_path: Path
) -> None:
    """It comes as far as to find that there is no node, which no other Python here could."""
    there = ("--store", tmp_path / "store", "--address", cluster.dashboard)
    code, output = run(home, "submit", write_sweep(tmp_path), *there, environment=WITH_TOKEN)
    assert code == 2, output
    assert "no node has 1 CPU" in output
    assert "No module named" not in output
