"""What an autoscaler may bring, as users write it: `8` GPUs, or `8,64`: with 64 CPUs."""

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.planning.scheduling import Capacity

_FORM = re.compile(r"(\d{1,6})(?:,(\d{1,6}))?")


def most_of(text: str) -> "Capacity":
    """GPUs and CPUs of the whole cluster; where no CPUs are told, GPUs alone limit it.

    Raises:
        UserError: it is written otherwise, or nothing may come.
    """
    from orchestrator.planning.scheduling import Capacity
    from trainer.problems import UserError

    match = _FORM.fullmatch(text.strip())
    gpus, cpus = match.groups() if match else ("0", None)
    if not int(gpus) and not int(cpus or 0):
        raise UserError(
            f"--scale-to: {text!r}: expected the GPUs that the cluster may grow to, as in 8, "
            "or GPUs and CPUs, as in 8,64 or 0,64"
        )
    return Capacity(cpu=math.inf if cpus is None else float(cpus), gpu=float(gpus))


def written(most: "Capacity") -> str:
    """As a user would write it."""
    return f"{most.gpu:g}" if math.isinf(most.cpu) else f"{most.gpu:g},{most.cpu:g}"
