"""`restool export`: records for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from restool.cli.output import print_files
from restool.cli.panels import DEFAULT_OUT, OutArgument


class Kind(StrEnum):
    """What to write."""

    csv = "csv"
    jsonl = "jsonl"
    tensorboard = "tensorboard"


def export(
    kind: Annotated[Kind, typer.Argument(help="What to write.", show_default=False, metavar="csv|jsonl|tensorboard")],
    out: OutArgument = DEFAULT_OUT,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="File, or folder of TensorBoard.", show_default="stdout, or DIR/tensorboard", metavar="PATH"
        ),
    ] = None,
) -> None:
    """Give the records of a folder to other programs: one row per record, or a run per protocol.

    restool export jsonl results/local --to records.jsonl
    restool export tensorboard results/local
    """
    from restool.files import write_files
    from restool.records import ResultsFolder
    from restool.report.export import as_csv, as_jsonl, write_tensorboard

    ResultsFolder(out)  # rejects a folder of another version
    if kind is Kind.tensorboard:
        print_files(write_tensorboard(out, out / "tensorboard" if to is None else to))
        return
    text = as_csv(out) if kind is Kind.csv else as_jsonl(out)
    if to is None:
        print(text, end="")
    else:
        write_files(to.parent, {to.name: text.encode()})
        print_files([to])
