"""A command in this process: quick, and its errors apart from its output."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.main import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kd(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run a command: exit code, output, errors."""
    monkeypatch.delenv("KDSWEEP_STORE", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["kdsweep", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run
