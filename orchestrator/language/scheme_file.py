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
    """A file with schemes of one's own, read when the sweep is; `names` are what it registers."""

    path: str
    source: str
    names: tuple[Name, ...]

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "description": "A Python file with registered schemes."}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if isinstance(value, SchemeFile):
            return value
        path, source = _path_and_source(value)
        try:
            names = _registered_names(ast.parse(source))
        except (SyntaxError, ValueError) as error:
            raise mistake(f"{path}: not a Python file: {error}") from error
        if not names:
            raise mistake(f'{path}: registers no scheme; expected @register("NAME")')
        distinct(tuple(names))
        taken = [n for n in names if n in AUGMENTATIONS or pick_of(n)]
        if taken:
            raise mistake(f"{path}: {taken[0]!r} is a name of kdsweep's own")
        return {"path": path, "source": source, "names": names}


def _path_and_source(value: object) -> tuple[str, str]:
    """A file that a sweep names, or one that a saved sweep holds."""
    match value:
        case str():
            try:
                return value, _text(Path(os.path.expanduser(value)))  # noqa: PTH111
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise mistake(f"{value}: cannot be read: {reason}") from error
        case {"path": str(path), "source": str(source)}:
            return path, source
    raise mistake(f"expected the path of a Python file, not {value!r}")


def _text(path: Path) -> str:
    """A file's text. Raises `OSError`, and `ValueError` where it is too long or no text."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"too long: at most {MAX_BYTES:,} bytes")
    return content.decode()


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
