"""What a sweep says of itself and computes nothing by, in lines for a person."""

from orchestrator.language.sweep import Sweep
from trainer.problems import printable


def remarks(sweep: Sweep) -> tuple[str, ...]:
    """Its notes, line by line, and what a command has set; what would steer a terminal is spelled out."""
    notes = (line for line in sweep.notes.splitlines() if line.strip())
    return tuple(map(printable, (*notes, *(f"set: {change}" for change in sweep.was_set))))
