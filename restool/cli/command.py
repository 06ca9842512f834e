"""A command whose errors call an argument by the option that was typed."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, get_args

import typer
from typer.core import TyperCommand

from restool.errors import RestoolError

_options: ContextVar[Mapping[str, str]] = ContextVar("options")  # of the running command, by parameter


GOES_ON = "; the same command goes on from the last finished epoch and cell"
"""What commands tell that can be stopped at any time."""
NOTHING = {"DIR": "folder, but got nothing; . is the working folder", "PATH": "path, but got nothing"}
"""What is told of an empty path, by what the help calls it."""


class Failure(Exception):  # noqa: N818 (an end of the program, not a defect)
    """The line and the exit status that a command ends on, and lines that list more."""

    def __init__(self, message: str, exit_status: int, listing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.exit_status, self.listing = exit_status, listing


class Command(TyperCommand):
    """Turns the errors of the library into the words of its own options."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read what was typed; an empty path, which would be taken for the working folder, is a slip."""
        values, *_ = self.make_parser(ctx).parse_args(list(args))
        for parameter in filter(_takes_path, self.params):
            typed = values.get(parameter.name)
            several = [typed] if isinstance(typed, str) else typed if isinstance(typed, Sequence) else []
            if any(not text.strip() for text in several):
                told = f"it takes a {NOTHING.get(str(parameter.metavar), 'file, but got nothing')}"
                raise typer.BadParameter(told, ctx=ctx, param_hint=f"'{_typed(parameter)}'")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        token = _options.set({str(parameter.name): _typed(parameter) for parameter in self.params})
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            goes_on = any(parameter.name == "time_limit" for parameter in self.params)
            raise Failure(f"interrupted{GOES_ON if goes_on else ''}", 130) from error
        except RestoolError as error:
            raise Failure(tell(error), error.exit_status, getattr(error, "__notes__", ())) from error
        finally:
            _options.reset(token)


def tell(error: Exception) -> str:
    """An error in the words of the running command: arguments are called by its options, others by plain words."""
    if not isinstance(error, RestoolError):
        return str(error)
    options = _options.get({})
    return error.told(lambda name: options.get(name, name.replace("_", " ")))


def _takes_path(parameter: Any) -> bool:
    """Whether an option or argument takes files or folders."""
    kind = parameter.type_descriptor.annotation
    return Path in (kind, *get_args(kind))


def _typed(parameter: Any) -> str:
    """An option as it is typed, an argument as the help shows it."""
    is_option = parameter.opts[0].startswith("-")
    return parameter.opts[0] if is_option else parameter.metavar or parameter.human_readable_name
