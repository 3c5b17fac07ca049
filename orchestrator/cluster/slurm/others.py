"""The further nodes of an allocation, as the launcher sees them: what started them, and what they say."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from orchestrator.cluster.slurm.hand import KEEP_LOGS, Hand, Word

ENDED_WITHIN_S = 20.0
LAST_WORDS_WITHIN_S = 2.0
PYTHON = (sys.executable, *(["-P"] if sys.flags.safe_path else []))
"""That of this process, which imports from where this one does."""

NODE = (*PYTHON, "-m", "orchestrator.cluster.slurm", "node")


class Others:
    """Nodes that a command such as `srun` has started, one on each further machine.

    Args:
        command: what starts a program once on each of them, with this process's standard input.
        hand: what they are told.
    """

    def __init__(self, command: Sequence[str], hand: Hand) -> None:
        self._process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 - the batch script's own words
            [*command, *NODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._input: Any = self._process.stdin
        self._output: Any = self._process.stdout
        self.joined: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write(hand.line())

    def _write(self, line: str) -> None:
        with suppress(OSError, ValueError):  # they are gone
            self._input.write(f"{line}\n")

    def _read(self) -> None:
        with self._output as lines:
            for line in lines:
                self._hear(line)

    def _hear(self, line: str) -> None:
        word = Word.read(line)
        if word is None:
            told = line.rstrip("\n")
        else:
            told = f"node {word.node}: {word.event}: {word.what}"
            if word.event != "lost":
                heard = self.joined if word.event == "joined" else self.refused
                heard[word.node] = word.what
        with suppress(OSError):  # a log on a full disk: nodes are heard all the same
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()

    def exit_code(self) -> int | None:
        """That of what started them, once all are over and have said what they had to say; None before."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(LAST_WORDS_WITHIN_S)
        return code

    def end(self, *, keep_logs: bool) -> None:
        """Let them end what they have started; whoever does not is ended by the batch system."""
        if keep_logs:
            self._write(KEEP_LOGS)
        with suppress(OSError, ValueError):
            self._input.close()
        for kill in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                kill()
