"""What a sweep says of itself and computes nothing by, in lines for a person."""

from orchestrator.language.sweep import Sweep
from trainer.problems import printable


def remarks(sweep: Sweep) -> tuple[str, ...]:
    """Its notes, line by line; what would steer a terminal is spelled out."""
    return tuple(printable(line) for line in sweep.notes.splitlines() if line.strip())
