"""What a sweep travels to a cluster with: kdsweep's own code, the resolved sweep, and where they come from.

The cluster's nodes need the libraries that kdsweep needs, but not kdsweep: so all of them run the very code
that the sweep was submitted from.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from orchestrator.language.settings import DatasetChoice, StudentSettings, TeacherSettings
from orchestrator.language.sweep import Sweep
from orchestrator.store.addresses import is_remote
from orchestrator.store.provenance import COMMIT_FILE, PACKAGES, TOP, git_state
from trainer.problems import UserError
from trainer.yaml_source import MAX_BYTES

Section = TypeVar("Section", TeacherSettings, StudentSettings)


def pack(sweep: Sweep, folder: Path) -> str:
    """Fill an empty folder. Paths that the sweep names become those that they are from here.

    Returns:
        The name of the sweep's file in it.

    Raises:
        UserError: as `write_packed`.
    """
    for name in PACKAGES:
        shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    number = version("kdsweep")
    about = folder / f"kdsweep-{number}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kdsweep\nVersion: {number}\n")
    (folder / COMMIT_FILE).write_text(json.dumps(git_state()))
    return write_packed(sweep, folder)


def write_packed(sweep: Sweep, folder: Path) -> str:
    """Write the file of a sweep, readable from any working directory, which is read back as an equal one.

    Returns:
        Its name.

    Raises:
        UserError: the sweep, with its own files, is too long.
    """
    # Escaped to ASCII: of what JSON leaves as it is, YAML forbids some.
    text = json.dumps(for_elsewhere(sweep).model_dump(mode="json"), indent=1)
    if len(text) > MAX_BYTES:
        size = f"{len(text):,} bytes with its own files; {MAX_BYTES:,} are the most"
        raise UserError(f"{sweep.name}: too long to be submitted: {size}")
    (folder / f"{sweep.name}.yaml").write_text(text)
    return f"{sweep.name}.yaml"


def for_elsewhere(sweep: Sweep) -> Sweep:
    """The same sweep, readable from any working directory."""
    return sweep.model_copy(
        update={
            "dataset": tuple(map(_with_absolute_path, sweep.dataset)),
            "teachers": _with_absolute_checkpoints(sweep.teachers),
            "student": _with_absolute_checkpoints(sweep.student),
            "data": sweep.data and _absolute(sweep.data),
            "store": None,
        }
    )


def _with_absolute_checkpoints(section: Section) -> Section:
    checkpoints = {name: _absolute(path) for name, path in section.checkpoint.items()}
    return section.model_copy(update={"checkpoint": checkpoints})


def _with_absolute_path(choice: DatasetChoice) -> DatasetChoice:
    if choice.path is None:
        return choice
    return choice.model_copy(update={"path": _absolute(choice.path)})


def _absolute(path: str) -> str:
    """`~` stays: it is the home of whoever runs the cluster's nodes. So does the address of an object store."""
    return path if path.startswith("~") or is_remote(path) else str(Path(path).absolute())
