"""Marks: files whose mere presence says something to another process.

stops/RUN.json      the workers of a run are asked to save and leave
begun/JOB.json      a submitted run has passed all checks and trains; JOB.checking.json: it checks
marks/NAME.json     what a probe leaves for another machine to see
"""

from orchestrator.store.json_files import JsonFiles
from trainer.files import Folder


class Marks:
    """The marks of one folder."""

    def __init__(self, folder: Folder) -> None:
        self._files = JsonFiles(folder)

    def set(self, name: str) -> None:
        self._files.write(name, {})

    def is_set(self, name: str) -> bool:
        """One read, the cheapest question there is."""
        return self._files.exists(name)

    def is_listed(self, name: str) -> bool:
        """Whether the folder's listing shows it: a shared file system may remember for a while that a file
        was not there, but it looks again when it lists.
        """
        return name in self._files.names()

    def clear(self, name: str) -> None:
        self._files.remove(name)

    def tidy(self) -> None:
        """Remove the folder where no mark is left."""
        self._files.tidy()
