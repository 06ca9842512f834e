"""One option of a command."""

from typing import Any

import typer


def option(panel: str | None, name: str, text: str, metavar: str = "", **more: Any) -> Any:
    """An option in a panel of the help; one without a value has no metavar."""
    return typer.Option(name, help=text, metavar=metavar, rich_help_panel=panel, **more)
