"""Python files of one's own that a sweep names: what each registers, found without running it."""

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import model_validator

from orchestrator.language.mistakes import distinct, mistake, mistake_at
from trainer.catalog import ARCHITECTURES, AUGMENTATIONS, PREDICTORS, pick_of
from trainer.options import METHODS, options_of, registrations
from trainer.trial import Frozen, Name, OwnFile
from trainer.yaml_source import MAX_BYTES


class RegisteringFile(Frozen):
    """A file of one's own, as it was read; `names` are what it registers."""

    KIND: ClassVar[str]
    path: str
    source: str
    names: tuple[Name, ...]

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "description": f"A Python file with registered {cls.KIND}s."}

    @classmethod
    def is_taken(cls, name: str) -> bool:
        """Whether kdsweep has something of its own under this name."""
        raise NotImplementedError

    @model_validator(mode="before")
    @classmethod
    def _with_names(cls, value: object) -> object:
        """From `path` and `source`; the names are found anew, whoever wrote them down."""
        if isinstance(value, RegisteringFile):
            return value
        match value:
            case {"path": str(path), "source": str(source)}:
                return {"path": path, "source": source, "names": cls._checked_names(path, source)}
            case {"path": str(path), "unreadable": str(reason)}:
                raise mistake(f"{path}: cannot be read: {reason}")
        raise mistake(f"expected the path of a Python file, not {value!r}")

    @classmethod
    def _checked_names(cls, path: str, source: str) -> list[str]:
        try:
            names = _registered_names(ast.parse(source))
        except (SyntaxError, ValueError) as error:
            raise mistake(f"{path}: not a Python file: {error}") from error
        except (MemoryError, RecursionError) as error:
            raise mistake(f"{path}: too deeply nested for Python to read it") from error
        if not names:
            raise mistake(f'{path}: registers no {cls.KIND}; expected @register("NAME")')
        distinct(tuple(names))
        taken = [name for name in names if cls.is_taken(name)]
        if taken:
            raise mistake(f"{path}: {taken[0]!r} is a name of kdsweep's own")
        return names

    def as_own(self) -> OwnFile:
        """The file as a trial carries it."""
        return OwnFile(path=self.path, source=self.source)


class SchemeFile(RegisteringFile):
    """A file with augmentations."""

    KIND = "scheme"

    @classmethod
    def is_taken(cls, name: str) -> bool:
        return name in AUGMENTATIONS or pick_of(name) is not None


class MethodFile(RegisteringFile):
    """A file with methods of distillation."""

    KIND = "method"

    @classmethod
    def is_taken(cls, name: str) -> bool:
        return name in METHODS

    @classmethod
    def _checked_names(cls, path: str, source: str) -> list[str]:
        """Their options, too, must be such as can be known without running the file."""
        names = super()._checked_names(path, source)
        for name in names:
            try:
                options_of(source, name)
            except ValueError as error:
                raise mistake(f"{path}: {error}") from error
        return names


class ModelFile(RegisteringFile):
    """A file with architectures."""

    KIND = "model"

    @classmethod
    def is_taken(cls, name: str) -> bool:
        return name in ARCHITECTURES


class PredictorFile(RegisteringFile):
    """A file with predictors."""

    KIND = "predictor"

    @classmethod
    def is_taken(cls, name: str) -> bool:
        return name in PREDICTORS


Files = TypeVar("Files", bound=RegisteringFile)


def registered_once(files: tuple[Files, ...]) -> tuple[Files, ...]:
    """The files, where no two register one name."""
    for index, file in enumerate(files):
        taken = {name for other in files[:index] for name in other.names}
        for name in file.names:
            if name in taken:
                raise mistake_at(str(index), f"{name} stands here twice")
    return files


def file_of(name: str, files: tuple[Files, ...]) -> OwnFile | None:
    """The file that registers a name; None where none does."""
    file = next((file for file in files if name in file.names), None)
    return file.as_own() if file else None


OWN_FILES = ("schemes", "methods", "models", "predictors")
"""The keys of a sweep file that name files of one's own."""


def with_files_read(data: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep file's content with each path of `OWN_FILES` replaced by what the file says, or why it cannot be read."""
    read = {
        key: list(map(_read, value)) if isinstance(value, list) else _read(value)
        for key, value in data.items()
        if key in OWN_FILES
    }
    return {**data, **read}


def _read(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return {"path": value, "source": _text(Path(os.path.expanduser(value)))}  # noqa: PTH111
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return {"path": value, "unreadable": str(reason)}


def _text(path: Path) -> str:
    """A file's text. Raises `OSError`, and `ValueError` where it is too long or no text."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"too long: at most {MAX_BYTES:,} bytes")
    return content.decode()


def _registered_names(tree: ast.Module) -> list[str]:
    """The names in `@register("NAME")`, without running the file."""
    return [name for name, _ in registrations(tree)]
