"""`restool study`: run the file of a study, or list the files there are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from restool.cli.command import Command, tell
from restool.cli.ending import Ending
from restool.cli.option import option
from restool.cli.output import models_print_on_stderr, print_files, print_json, print_rows
from restool.cli.panels import Json, KeepLogits, takes_panels
from restool.cli.place import Place

study = typer.Typer(help="Run studies: files that ask a question of several sweeps.", no_args_is_help=True)

FILES, RESULTS = Path("studies"), Path("results")

File = Annotated[Path, typer.Argument(help="A study's .toml file.", show_default=False, metavar="FILE")]
Dataset = Annotated[
    str | None, option("What to measure", "--dataset", "See `restool ls datasets`.", "NAME", show_default="the file's")
]
Small = Annotated[bool, option("What to measure", "--small", "The variant for a machine without a GPU.")]
StudyOut = Annotated[
    Path | None,
    option("Where to run and write", "--out", "Results folder.", "DIR", show_default="results/ and the file's name"),
]


@dataclass(frozen=True, kw_only=True)
class StudyPlace(Place):
    """Where a study computes, reads and writes."""

    out: StudyOut = None  # type: ignore[assignment]


@study.command(cls=Command)
def ls(
    folder: Annotated[Path, typer.Argument(help="Where the files lie.", metavar="DIR")] = FILES,
    as_json: Json = False,
) -> None:
    """The studies of a folder: name, question, and how many records each has."""
    from restool.errors import MissingDataError
    from restool.studies import read_study

    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.toml")):
        found = read_study(path)
        records = len(list((RESULTS / found.name / "records").glob("*.json")))
        rows.append({"file": str(path), "records": records, "question": " ".join(found.question.split())})
    if not rows:
        raise MissingDataError(f"no .toml file in {folder}")
    print_rows(rows, as_json=as_json)


@study.command(cls=Command)
@takes_panels
def run(
    file: File,
    place: StudyPlace,
    dataset: Dataset = None,
    small: Small = False,
    keep_logits: KeepLogits = False,
    as_json: Json = False,
) -> None:
    """Run what is missing of a study and write its page; two runs side by side share the work.

    restool study run studies/demo.toml
    restool study run studies/penalties.toml --dataset parquet:DIR --small --time-limit 90
    """
    from restool.studies import read_study, run_study
    from restool.transfer.progress import ProgressBars

    found = read_study(file, dataset=dataset, small=small)
    out = RESULTS / found.name if place.out is None else place.out
    with models_print_on_stderr():
        result = run_study(found, out, progress=ProgressBars(tell), keep_logits=keep_logits, **place.choices)
    _print_page(out, result.files, as_json=as_json)
    not_begun = len(found.sweeps) - len(result.sweeps)
    Ending(
        of=sum(len(each.cells) for each in result.sweeps),
        failed=result.failed,
        missing=result.missing,
        damaged=result.damaged,
        timed_out=result.timed_out,
        beside=f", and {not_begun} sweeps are not begun" if not_begun else "",
    ).tell()


@study.command(cls=Command)
def page(file: File, out: StudyOut = None, small: Small = False, as_json: Json = False) -> None:
    """Write the page of a study again, from its records alone."""
    from restool.report import read_records, write_report
    from restool.studies import read_study, write_page

    found = read_study(file, small=small)
    folder = RESULTS / found.name if out is None else out
    files = write_report(folder)
    _print_page(folder, files + write_page(found, folder, read_records(folder)), as_json=as_json)


def _print_page(out: Path, files: list[Path], *, as_json: bool) -> None:
    if as_json:
        print_json({"out": str(out), "files": [str(file) for file in files]})
    elif files:
        print((out / "README.md").read_text("utf-8"))
        print_files(files)
