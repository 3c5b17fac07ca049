"""A job that waits for a place that is gone is taken back from Ray Tune; what works beside it goes on."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.worker.job import JobConfig, JobReport
from tests.orchestrator.commands import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def node() -> Iterator[str]:
    """A Ray of one node with two CPUs; its name."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
    )
    yield ray.nodes()[0]["NodeID"]
    ray.shutdown()


def run_job(job: JobConfig) -> JobReport:
    """The one that works goes on until the other has been at work, too."""
    folder = Path(job.store)
    (folder / f"{job.job_id} {os.getpid()}").touch()
    wait_until(lambda: list(folder.glob("waits *")))
    return JobReport((job.job_id,))


class TwoJobs:
    """Hands out a job that works and one that no node may take, until that one is withdrawn."""

    must_leave = False

    def __init__(self, folder: Path, node: str) -> None:
        self._folder = folder
        self._to_hand_out: list[tuple[str, tuple[str, ...]]] = [("works", ()), ("waits", (node,))]
        self._names: dict[str, str] = {}
        self.told: list[str] = []

    def next_config(self, trial_id: str) -> dict[str, Any] | None:
        if not self._to_hand_out:
            return None
        name, avoid = self._to_hand_out.pop(0)
        self._names[trial_id] = name
        return JobConfig(
            run_id="run",
            job_id=name,
            store=str(self._folder),
            data_folder="",
            trials=(),
            cpu=1,
            gpu=0.0,
            bundle={"CPU": 1.0},
            avoid=avoid,
            execution="eager",
            checkpoint_every_s=1.0,
            checkpoint_every_epochs=None,
            command="",
            code="",
            trainer_sha256="",
        ).as_config()

    @property
    def is_over(self) -> bool:
        return not self._names

    @property
    def misplaced(self) -> set[str]:
        if list(self._folder.glob("works *")) and "withdrawn waits" not in self.told:
            return {trial_id for trial_id, name in self._names.items() if name == "waits"}
        return set()

    def on_withdrawn(self, trial_id: str) -> None:
        self.told.append(f"withdrawn {self._names.pop(trial_id)}")
        self._to_hand_out.append(("waits", ()))

    def on_start(self, trial_id: str) -> None:
        self.told.append(f"started {self._names[trial_id]}")

    def on_report(self, trial_id: str, report: JobReport) -> None:
        self.told.append(f"finished {self._names.pop(trial_id)}")

    def on_death(self, trial_id: str, account: str) -> None:
        self.told.append(f"died {self._names.pop(trial_id)}")

    def tick(self) -> None:
        time.sleep(0.01)


def test_what_waits_for_a_lost_place_goes_elsewhere_and_what_works_is_not_disturbed(
    node: str, tmp_path: Path
) -> None:
    from orchestrator.driver.searcher import tuner_of

    (tmp_path / "jobs").mkdir()
    director = TwoJobs(tmp_path / "jobs", node)
    tuner_of(director, run_job, name="run", folder=tmp_path / "tune").fit()
    assert director.told[:3] == ["started works", "withdrawn waits", "started waits"]
    assert sorted(director.told[3:]) == ["finished waits", "finished works"]
    assert len(list((tmp_path / "jobs").glob("works *"))) == 1
