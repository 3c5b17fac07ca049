"""A command line that cannot be read is told as any other mistake: one line, with the nearest that is known."""

import re
import sys
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import typer

from orchestrator.cli.console import BAD_INPUT, DONE

READER_LEFT = 141
"""What a shell says of a command whose reader, such as `head`, had enough: 128 and SIGPIPE."""

IN_OUR_WORDS = {
    "Input should be": "expected",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}


@runtime_checkable
class UsageError(Protocol):
    """What typer raises of a line that it cannot read; it exports no class of that."""

    ctx: Any
    message: str
    __cause__: BaseException | None

    def format_message(self) -> str: ...


def call(app: typer.Typer) -> None:
    """Do what the command line says.

    Raises:
        UserError: it cannot be read.
        SystemExit: in all other cases, at the end.
    """
    from trainer.problems import UserError

    try:
        code = app(prog_name="kdsweep", standalone_mode=False)
    except typer.Abort:
        sys.exit(BAD_INPUT)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.exit(BAD_INPUT)  # typer has shown the help
        if not isinstance(error, UsageError):
            raise
        raise UserError(told(error)) from error
    sys.exit(code if isinstance(code, int) else DONE)


def told(error: UsageError) -> str:
    """`kdsweep plan: --gpus: expected a whole number, not 'x'`."""
    where = f"{error.ctx.command_path}: " if error.ctx else ""
    parameter = getattr(error, "param", None)
    option = getattr(error, "option_name", None)
    if option is not None:
        return where + _of_option(error, option)
    if parameter is not None and type(error).__name__ == "MissingParameter":
        return f"{where}{_name(parameter)} is missing: {parameter.help}"
    if parameter is not None:
        return f"{where}{_name(parameter)}: {_expected(error)}"
    return where + _of_words(error)


def _of_option(error: UsageError, option: str) -> str:
    from trainer.problems import did_you_mean

    if error.message.startswith("No such option"):
        return f"no such option {option}{did_you_mean(option, _options(error.ctx.command))}"
    takes_none = "does not take" in error.message
    return f"{option}: expected {'no value' if takes_none else 'a value behind it'}"


def _of_words(error: UsageError) -> str:
    """A command that is none, or words too many."""
    from trainer.problems import did_you_mean

    if command := re.match(r"No such command '(?P<name>.*?)'", error.message):
        return (
            f"no such command {command['name']}"
            f"{did_you_mean(command['name'], error.ctx.command.commands)}"
        )
    if words := re.search(r"unexpected extra arguments?.*\((?P<words>.*)\)", error.message):
        return f"unexpected argument {words['words']}"
    return error.format_message()


def _options(command: Any) -> Iterator[str]:
    """The long names of a command's options."""
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield _name(parameter)
    yield "--help"


def _name(parameter: Any) -> str:
    """As a user writes it; of an argument, as `--help` shows it."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(max(parameter.opts, key=len))


def _expected(error: UsageError) -> str:
    """What was expected of a value, in our words, and what stands there."""
    from trainer.problems import did_you_mean

    message = error.message.removeprefix("Value error, ")
    if choices := re.match(r"'(?P<word>.*?)' is not one of (?P<known>.*)\.$", message):
        word, known = choices["word"], re.findall(r"'(.*?)'", choices["known"])
        return f"unknown value {word!r}{did_you_mean(word, known)}"
    expected = message.partition(", unable to parse")[0]
    for theirs, ours in IN_OUR_WORDS.items():
        expected = expected.replace(theirs, ours)
    details: list[Any] = getattr(error.__cause__, "errors", list)()
    return f"{expected}, not {details[0]['input']!r}" if details else expected
