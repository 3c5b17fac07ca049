"""`python -m orchestrator`: the command `kdsweep`, where it is not installed as one."""

from orchestrator.cli.main import command_line

command_line()
