"""Processes of a real run whose clock is wrong by days: `time.time` says so, as libfaketime breaks Ray."""

from collections.abc import Mapping
from pathlib import Path

DAY_S = 86_400

SHIFTING = """
import os, time
from pathlib import Path

command = Path("/proc/self/cmdline").read_text()
name = "SHIFT_OF_WORKERS_S" if "default_worker.py" in command else "SHIFT_OF_DRIVER_S"
seconds, nanoseconds = time.time, time.time_ns
if shift := int(os.environ.get(name, "0")):
    time.time = lambda: seconds() + shift
    time.time_ns = lambda: nanoseconds() + shift * 10**9
"""


def clocks_wrong_by(
    folder: Path, *, driver_days: int = 0, worker_days: int = 0
) -> Mapping[str, str]:
    """The environment of a command that reads such clocks; `folder` is made to hold what shifts them."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SHIFTING)
    return {
        "PYTHONPATH": str(folder),
        "SHIFT_OF_DRIVER_S": str(driver_days * DAY_S),
        "SHIFT_OF_WORKERS_S": str(worker_days * DAY_S),
    }
