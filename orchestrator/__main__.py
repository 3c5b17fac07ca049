"""`python -m orchestrator`: the command `kdsweep`, where it is not installed as one, as on a cluster's head."""

import sys

try:
    from orchestrator.cli.main import command_line
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] == "orchestrator":
        raise
    print(  # noqa: T201
        f"{sys.executable}: {error.name} is not installed for this Python; what kdsweep needs must be installed "
        "for the one that runs Ray: pip install -c constraints.txt .",
        file=sys.stderr,
    )
    sys.exit(2)

command_line()
