"""Runs as event files of TensorBoard, below one folder: one per trial, whole or not there, written once.

tensorboardX writes records without TensorFlow. Its own writer names files by the clock and appends to them; here a file's
name tells of which result it is, so that whoever writes again finds it there.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.reports.tracking.runs import TrackedRun
from trainer.files import write_atomically

FORMAT = "brain.Event:2"
"""What the first record of every event file says."""

OURS = "kdsweep"


@dataclass(frozen=True)
class TensorBoard:
    """A folder for `tensorboard --logdir`."""

    folder: Path

    def keep(self, run: TrackedRun) -> bool:
        """Write a run; False where it is there already. Of a trial that was made again the older one goes."""
        folder = self.folder / run.path
        name = f"events.out.tfevents.{int(run.ended_at)}.{run.version}.{OURS}"
        if (folder / name).exists():
            return False
        folder.mkdir(parents=True, exist_ok=True)
        older = list(folder.glob(f"events.out.tfevents.*.{OURS}"))
        write_atomically(folder / name, _event_file(run))
        for file in older:
            file.unlink(missing_ok=True)
        return True

    def told(self) -> str:
        """What to do with it."""
        return f"tensorboard --logdir {self.folder}"


def _event_file(run: TrackedRun) -> bytes:
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter

    begun_at = run.steps[0].at if run.steps else run.ended_at
    last = run.steps[-1].epoch if run.steps else 0
    events = [Event(wall_time=begun_at, file_version=FORMAT)]
    metrics: dict[str, Any] = {f"final/{name}": value for name, value in run.outcome.items()}
    settings = summary.hparams(dict(run.settings), metrics)
    events += [Event(wall_time=begun_at, summary=about) for about in settings]
    for step in run.steps:
        for name, value in step.values.items():
            shown = summary.scalar(name, value)
            events.append(Event(wall_time=step.at, step=step.epoch, summary=shown))
    for name, value in metrics.items():
        shown = summary.scalar(name, value)
        events.append(Event(wall_time=run.ended_at, step=last, summary=shown))
    with tempfile.TemporaryDirectory(prefix="kdsweep-track-") as folder:
        file = Path(folder) / "events"
        writer = RecordWriter(str(file))
        for event in events:
            writer.write(event.SerializeToString())
        writer.close()
        return file.read_bytes()
