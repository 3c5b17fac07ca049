"""Files with schemes of one's own, which a sweep names."""

import ast
import os
from pathlib import Path
from typing import Any

from pydantic import model_validator

from orchestrator.language.mistakes import distinct, mistake
from trainer.catalog import AUGMENTATIONS, pick_of
from trainer.trial import Frozen, Name
from trainer.yaml_source import MAX_BYTES


class SchemeFile(Frozen):
    """A file with schemes of one's own, as it was read; `names` are what it registers."""

    path: str
    source: str
    names: tuple[Name, ...]

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "description": "A Python file with registered schemes."}

    @model_validator(mode="before")
    @classmethod
    def _with_names(cls, value: object) -> object:
        """From `path` and `source`; the names are found anew, whoever wrote them down."""
        if isinstance(value, SchemeFile):
            return value
        match value:
            case {"path": str(path), "source": str(source)}:
                return {"path": path, "source": source, "names": _checked_names(path, source)}
            case {"path": str(path), "unreadable": str(reason)}:
                raise mistake(f"{path}: cannot be read: {reason}")
        raise mistake(f"expected the path of a Python file, not {value!r}")


def with_files_read(value: object) -> object:
    """`schemes` of a sweep file with each path replaced by what the file says, or why it cannot be read."""
    if isinstance(value, list):
        return [_read(item) for item in value]
    return _read(value)


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


def _checked_names(path: str, source: str) -> list[str]:
    try:
        names = _registered_names(ast.parse(source))
    except (SyntaxError, ValueError) as error:
        raise mistake(f"{path}: not a Python file: {error}") from error
    if not names:
        raise mistake(f'{path}: registers no scheme; expected @register("NAME")')
    distinct(tuple(names))
    taken = [name for name in names if name in AUGMENTATIONS or pick_of(name)]
    if taken:
        raise mistake(f"{path}: {taken[0]!r} is a name of kdsweep's own")
    return names


def _registered_names(tree: ast.Module) -> list[str]:
    """The names in `@register("NAME")`, without running the file."""
    decorators = [
        decorator
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    ]
    return [
        argument.value
        for decorator in decorators
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("register")
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
