"""A trial's folder: the trial itself, and a log that names the command which repeats it.

FOLDER/trial.yaml    everything the trial is
FOLDER/log.txt       when, where, what became of it, epoch by epoch
"""

import hashlib
import shlex
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import yaml

from trainer.files import write_atomically
from trainer.trial import Trial


def repeat_command(trial_file: Path, weights: Path, data: Path, threads: int, device: str) -> str:
    """The command that runs a trial again, alone, with equal bits on equal hardware."""
    options: dict[str, object] = {
        "--weights": weights.absolute(),
        "--data": data.absolute(),
        "--threads": threads,
    }
    options["--device"] = device
    words = [word for option in options.items() for word in option]
    command = ["kdsweep", "trial", trial_file.absolute(), *words, "--output", "repeated"]
    return shlex.join(map(str, command))


TRIAL_FILE = "trial.yaml"
CHECKSUM = "# sha256 of what follows: "


def written(trial: Trial) -> bytes:
    """A trial's file: YAML, below a line with its checksum."""
    content = yaml.safe_dump(trial.model_dump(mode="json", exclude_none=True), sort_keys=False)
    checksum = hashlib.sha256(content.encode()).hexdigest()
    return f"{CHECKSUM}{checksum}\n{content}".encode()


def is_whole(content: bytes) -> bool:
    """Whether a trial's file is what was written; those of older versions have no checksum."""
    first, _, rest = content.partition(b"\n")
    if first == b"data:":
        return True
    return first.decode(errors="replace") == CHECKSUM + hashlib.sha256(rest).hexdigest()


class TrialLog:
    """The log of one trial; an interrupted trial goes on in the same file."""

    def __init__(self, folder: Path) -> None:
        self.trial_file = folder / TRIAL_FILE
        self.path = folder / "log.txt"

    def begin(self, trial: Trial, command: str, circumstances: str) -> None:
        """Write the trial's file, and say how to repeat it and where it runs."""
        write_atomically(self.trial_file, written(trial))
        self.add(f"{trial.kind} {trial.fingerprint}")
        self.add(f"to repeat: {command}")
        self.add(circumstances)

    def add(self, text: str) -> None:
        """Add a line, in two tries; a full disk that takes none ends no trial."""
        line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n"
        with suppress(OSError):
            try:
                self._append(line)
            except OSError:
                self._append(line)

    def _append(self, line: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def add_row(self, row: Mapping[str, float | int]) -> None:
        """One line per epoch."""
        self.add(described(row))


def described(row: Mapping[str, float | int]) -> str:
    """`epoch 3  train_loss 0.1234  test_loss ...`."""
    return "  ".join(f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
