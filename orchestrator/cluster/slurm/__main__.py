"""`python -m orchestrator.cluster.slurm launch ...` in the batch script, `... node` on the further nodes."""

import sys

BAD_INPUT = 2


def main() -> int:
    """Do what the first word says; the exit code."""
    word, *rest = sys.argv[1:]
    try:
        if word == "node":
            from orchestrator.cluster.slurm import node

            return node.main()
        from orchestrator.cluster.slurm import launcher

        return launcher.main(rest)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"{sys.executable}: {error}: not the Python that has what kdsweep needs; "
            "kdsweep slurm --setup names what activates it\n"
        )
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
