"""`python -m orchestrator.cluster.slurm launch ...` in the batch script, `... node` on the further nodes."""

import socket
import sys

from orchestrator.cluster.slurm.hand import Word
from trainer.ending import leave

BAD_INPUT = 2


def main() -> int:
    """Do what the first word says; the exit code."""
    word, *rest = sys.argv[1:]
    try:
        return _node() if word == "node" else _launch(rest)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"{sys.executable}: {error}: not the Python that has what kdsweep needs; "
            "kdsweep slurm --setup names what activates it\n"
        )
        return BAD_INPUT


def _node() -> int:
    """Whatever goes wrong, the launcher is told: it waits for this node."""
    try:
        from orchestrator.cluster.slurm import node

        return node.main()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        sys.stdout.write(f"{Word(socket.gethostname(), 'refused', why).line()}\n")
        raise


def _launch(arguments: list[str]) -> int:
    from orchestrator.cluster.slurm import launcher

    return launcher.main(arguments)


if __name__ == "__main__":
    leave(main())
