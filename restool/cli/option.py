"""One option of a command."""

from collections.abc import Sequence
from typing import Any

import typer


def option(
    panel: str | None, name: str, text: str, metavar: str = "", *, names: Sequence[str] = (), **more: Any
) -> Any:
    """An option in a panel of the help, perhaps with further names; one without a value has no metavar."""
    return typer.Option(name, *names, help=text, metavar=metavar, rich_help_panel=panel, **more)
