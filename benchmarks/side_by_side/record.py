"""What was measured, in a JSON file that is written anew after each measurement."""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.steps import Cost, Run
from benchmarks.side_by_side.whole_sweeps import SweepCost, SweepSide, SweepSize
from benchmarks.side_by_side.workloads import Scale
from orchestrator.store.provenance import git_state
from trainer.files import write_atomically
from trainer.trial import Precision

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "ray")


def machine_and_versions() -> dict[str, Any]:
    commit, is_dirty = git_state()
    return {
        "command": " ".join(sys.orig_argv[1:]),
        "begun_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_at_begin": os.getloadavg()[0],
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "commit": commit,
        "commit_is_dirty": is_dirty,
    }


def _processor() -> str:
    """As the kernel names it, with the vector instructions that decide how fast convolutions are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    parted = (line.partition(":") for line in lines)
    facts = {name.strip(): value.strip() for name, _, value in parted}
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    present = [flag for flag in wanted if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())}, {' '.join(present)}"


@dataclass(frozen=True)
class StepCost:
    round: int
    run: Run
    cost: Cost


@dataclass(frozen=True)
class ConvolutionRate:
    round: int
    precision: Precision
    gflop_per_s: float


@dataclass(frozen=True)
class WholeSweep:
    round: int
    side: SweepSide
    size: SweepSize
    cost: SweepCost


@dataclass
class Record:
    """All of one run of the benchmark, and what is needed to repeat it."""

    path: Path
    scale: Scale
    about: dict[str, Any] = field(default_factory=machine_and_versions)
    steps: list[StepCost] = field(default_factory=list)
    convolutions: list[ConvolutionRate] = field(default_factory=list)
    sweeps: list[WholeSweep] = field(default_factory=list)

    def save(self) -> None:
        content = asdict(self) | {"path": str(self.path)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(content, indent=1).encode())
