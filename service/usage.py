"""How a command reads its settings, and how it says what is wrong and ends."""

from collections.abc import Callable
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from service import terminal
from service.settings import Settings

CANNOT_START, USAGE = 1, 2  # exit codes


def settings(**given: Any) -> Settings:
    """The settings, with what was given as options; ends the command with a line for each fault."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        names = {name: f"--{name}" for name in given if given[name] is not None}
        fail(explained(error, lambda field: names.get(field, f"LESION_{field.upper()}")), USAGE)


def explained(error: ValidationError, name: Callable[[str], str]) -> str:
    """A line for each thing that is wrong, with the option that brought it."""
    lines = []
    for fault in error.errors():
        message = fault["msg"].removeprefix("Value error, ")
        lines.append(f"{name(str(fault['loc'][0]))}: {message}" if fault["loc"] else message)
    return "\n".join(lines)


def fail(message: str, code: int) -> NoReturn:
    """End the command with a message."""
    terminal.console(stderr=True).print(terminal.visible(message), style="bold red", soft_wrap=True)
    raise typer.Exit(code)
