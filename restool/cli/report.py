"""`restool report`: tables and heat maps, rebuilt from records alone."""

from pathlib import Path
from typing import Annotated

import typer

from restool.cli import options


def report(
    out: Annotated[Path, typer.Argument(help="Results folder.")] = options.DEFAULT_OUT,
    as_json: options.Json = False,
) -> None:
    """Rebuild table.md, table.csv, table.tex and the heat maps of a results folder from its records."""
    from restool.cli.study import print_report
    from restool.transfer import ResultsFolder

    ResultsFolder(out)  # rejects a folder of another version
    print_report(out, as_json=as_json)
