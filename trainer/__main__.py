"""`python -m trainer TRIAL.yaml`: what `kdsweep trial` does, where only the trainer is there."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from trainer.ending import leave, say
from trainer.problems import UserError

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    from trainer.alone import run_alone

    return exit_code_of(
        lambda: run_alone(
            options.trial,
            output=options.output,
            weights=options.weights,
            data_folder=options.data,
            threads=options.threads,
            device=options.device,
            execution=options.execution,
        )
    )


def exit_code_of(run_one: Callable[[], Path]) -> int:
    """Let a trial run (`trainer.alone.run_alone`), tell where its result is or what went wrong, and how to exit."""
    from trainer.alone import TrialFailedError

    try:
        result = run_one()
    except (UserError, OSError) as error:
        say(str(error))
        return BAD_INPUT
    except TrialFailedError as error:
        say(str(error))
        return FAILED
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the last checkpoint")
        return STOPPED
    with suppress(OSError, AttributeError):
        sys.stdout.write(f"{result}\n")
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Run one trial without Ray: train, show progress, write result and weights.",
        epilog="example: python -m trainer student.yaml --output runs",
    )
    add = parser.add_argument
    add("trial", type=Path, help="a trial (YAML), short or as a sweep left it in its store")
    add("--output", type=Path, default=Path("trials"), help="folder for results (default: trials)")
    add("--weights", type=Path, help="folder with the weights it depends on (default: OUTPUT)")
    add("--data", type=Path, default=Path("data"), help="folder of data sets (default: data)")
    add("--threads", type=_positive, default=1, help="CPU threads; bits depend on it (default: 1)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    how = "on a GPU, with the same bits (default: graph)"
    add("--execution", choices=("eager", "graph"), default="graph", help=how)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    leave(main())
