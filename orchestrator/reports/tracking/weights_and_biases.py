"""Runs of Weights & Biases: one per result, with an id that follows from it, and a mark once all of it was handed over.

Offline (`WANDB_MODE=offline`) each is a folder below `wandb/`, for `wandb sync`. Who sends a run twice, as from two
machines, sends the same steps under the same id.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.reports.tracking.runs import TrackedRun
from trainer.problems import UserError

DONE = "kdsweep-all-there"


@dataclass(frozen=True)
class WeightsAndBiases:
    """A project, of the user or of an entity."""

    project: str
    entity: str | None = None

    def keep(self, run: TrackedRun) -> bool:
        """Hand a run over; False where this folder's `wandb/` says that it was.

        Raises:
            UserError: wandb is not installed, or refuses.
        """
        run_id = f"{run.fingerprint[:24]}-{run.version}"
        if any(_folder().glob(f"*run-*-{run_id}/{DONE}")):
            return False
        wandb = _library()
        try:
            handed = wandb.init(
                project=self.project,
                entity=self.entity,
                id=run_id,
                name=run.title,
                group=run.group,
                job_type=run.kind,
                config=dict(run.settings) | {"fingerprint": run.fingerprint},
                resume="allow",
                settings=wandb.Settings(
                    console="off",
                    disable_code=True,
                    disable_git=True,
                    silent=True,
                    x_disable_stats=True,
                ),
            )
            for step in run.steps:
                handed.log(dict(step.values), step=step.epoch)
            handed.summary.update(dict(run.outcome))
            handed.finish()
        except wandb.Error as error:
            raise UserError(
                f"wandb:{self.project}: {str(error).splitlines()[0]}; WANDB_MODE=offline keeps runs here"
            ) from error
        Path(handed.settings.sync_dir, DONE).touch()
        return True

    def told(self) -> str:
        """What to do with it."""
        if os.environ.get("WANDB_MODE") == "offline":
            return f"wandb sync {_folder()}/offline-run-*"
        return f"wandb: {self.entity + '/' if self.entity else ''}{self.project}"


def _folder() -> Path:
    """Where wandb itself keeps what it sends."""
    return Path(os.environ.get("WANDB_DIR", ""), "wandb")


def _library() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise UserError("--to wandb: wandb is not installed: pip install wandb") from error
    return wandb
