"""What runs as the Ray job on the head: kdsweep, and an end that KubeRay understands.

    python3 -m orchestrator.cluster.kubernetes.entrypoint /kdsweep/command.json

KubeRay tries a RayJob again, on a new cluster, where its Ray job has FAILED, whatever its exit code: `backoffLimit` counts
them. What would only end in the same way, bad input (2) and trials that have failed (1), must not come to that. Such a run
asks Ray to stop its own job: STOPPED is an end that KubeRay takes as final. So there are three:

    SUCCEEDED   exit code 0: all is done
    STOPPED     exit code 1 or 2, or `kdsweep stop`: the log tells
    FAILED      whatever else, such as 3 (stopped before it was finished): tried again
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.cluster.interruption import STOPPING
from trainer.ending import leave, say

FINAL = frozenset({1, 2})
"""Exit codes that another try would have, too."""

HEARD_WITHIN_S = 60.0
JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Where Ray tells a job of itself."""


def main(file: str) -> int:
    """Run the command of a file; its exit code, unless the job is stopped over it."""
    command: list[str] = json.loads(Path(file).read_text())["command"]
    # Ray sends its signals to kdsweep, too: here they are only survived. A handler, unlike none, is not inherited.
    for number in STOPPING:
        signal.signal(number, _go_on)
    code = subprocess.run(  # noqa: S603 - words, not a shell's text; kdsweep reads them as its own
        [sys.executable, "-P", "-m", "orchestrator", *command], check=False
    ).returncode
    if code in FINAL:
        _stop_this_job(code)
    return code if code >= 0 else 128 - code


def _go_on(_number: int, _frame: object) -> None:
    pass


def _stop_this_job(code: int) -> None:
    """Ask Ray to end this job as STOPPED, and wait for it; where Ray does not hear, the job just fails."""
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    try:
        job_id = json.loads(os.environ[JOB_CONFIG])["metadata"]["job_submission_id"]
        say(f"exit code {code}: not tried again")
        JobSubmissionClient().stop_job(job_id)
    except (KeyError, ValueError, OSError, RuntimeError, RayError) as error:
        say(f"Ray cannot be asked to stop this job, so it is tried again: {error}")
    else:
        time.sleep(HEARD_WITHIN_S)


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
