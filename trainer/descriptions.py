"""What models that are not kdsweep's consist of: asked of another process, once, and remembered on disk.

So whoever plans a sweep imports no torch, and what the code of others does to its process does nothing here.
A description is found again by the file's hash or the library's version, the name, the classes and the size.
"""

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from trainer.catalog import MODEL_LIBRARIES, library_of
from trainer.datasets.cache import cache_root
from trainer.files import write_atomically
from trainer.problems import UserError
from trainer.trial import Description, Frozen, GuestModel, OwnFile, digest

TOP = Path(__file__).resolve().parents[1]
SECONDS_PER_MODEL = 300
"""A large one takes some seconds, an import of torch on a slow disk a minute."""


class Wanted(Frozen):
    """A model that is to be described: of a file, or of the library that its name says."""

    name: str
    file: OwnFile | None = None
    num_classes: int
    image_size: int

    @property
    def where(self) -> str:
        """What a mistake is told with."""
        return f"{self.file.path}: {self.name}" if self.file else self.name


class Answer(Frozen):
    """A description, or why there is none."""

    description: Description | None = None
    problem: str = ""


WANTED: TypeAdapter[list[Wanted]] = TypeAdapter(list[Wanted])
ANSWERS: TypeAdapter[list[Answer]] = TypeAdapter(list[Answer])


def described(wanted: Sequence[Wanted]) -> list[GuestModel]:
    """The models, each with its description.

    Raises:
        UserError: some cannot be built or trained, or their library is not installed; a line for each.
    """
    problems = [problem for one in wanted if (problem := _not_installed(one))]
    if problems:
        raise UserError("\n".join(problems))
    found = {one: _remembered(one) for one in wanted}
    unknown = [one for one, description in found.items() if description is None]
    answers = dict(zip(unknown, _asked(unknown), strict=True)) if unknown else {}
    problems = [f"{one.where} {a.problem}" for one, a in answers.items() if a.problem]
    for one, answer in answers.items():
        if answer.description is not None:
            _remember(one, answer.description)
            found[one] = answer.description
    if problems:
        raise UserError("\n".join(problems))
    return [
        GuestModel(file=one.file, description=description)
        for one in wanted
        if (description := found[one]) is not None
    ]


def library_version(library: str) -> str | None:
    """The version that is installed; None where none is."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _not_installed(wanted: Wanted) -> str | None:
    library = library_of(wanted.name) if wanted.file is None else None
    if library is None or library_version(library) is not None:
        return None
    return f"{wanted.name}: {library} is not installed; it comes with kdsweep[{library}]"


def _entry(wanted: Wanted) -> Path:
    """It is found again where nothing that could change it has changed, this code among it."""
    key = {
        "code": hashlib.sha256((TOP / "trainer" / "describe.py").read_bytes()).hexdigest(),
        "file": wanted.file.sha256 if wanted.file else None,
        "libraries": {name: library_version(name) for name in ("torch", *MODEL_LIBRARIES)},
        **wanted.model_dump(exclude={"file"}),
    }
    return cache_root() / "models" / f"{digest(key)}.json"


def _remembered(wanted: Wanted) -> Description | None:
    with suppress(OSError, UserError, ValidationError):
        return Description.model_validate_json(_entry(wanted).read_bytes())
    return None


def _remember(wanted: Wanted, description: Description) -> None:
    """Where the cache takes nothing, the model is described anew each time."""
    with suppress(OSError, UserError):
        entry = _entry(wanted)
        entry.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(entry, description.model_dump_json().encode())


def _asked(wanted: Sequence[Wanted]) -> list[Answer]:
    """The answers of `python -m trainer.describe`, in a process that sees no GPU and uses one thread."""
    paths = [str(TOP), os.environ.get("PYTHONPATH", "")]
    surroundings = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    where = ", ".join(one.where for one in wanted)
    limit = SECONDS_PER_MODEL * len(wanted)
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "trainer.describe"],
            input=WANTED.dump_json(list(wanted)),
            capture_output=True,
            env={**os.environ, **surroundings},
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{where}: not built and tried within {limit} seconds") from error
    try:
        answers = ANSWERS.validate_json(ended.stdout)
    except ValidationError as error:
        lines = ended.stderr.decode(errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        raise UserError(
            f"{where}: the process that builds models ended with code {ended.returncode}{last}"
        ) from error
    return answers
