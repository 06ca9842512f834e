"""What commands print: tables and files on stdout and stderr, or one JSON object."""

import json
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def models_print_on_stderr() -> AbstractContextManager[Any]:
    """What the code of users prints meanwhile goes to stderr, for stdout carries results."""
    return redirect_stdout(sys.stderr)


JSON_FORMAT = 1
"""Every object that is printed holds this number, which is raised when a name of it comes to mean something else.
Accuracies are in percent and differences in percentage points, as their names say."""


def print_json(content: Any) -> None:
    """One object on stdout, or a list."""
    told = {"format": JSON_FORMAT} | content if isinstance(content, dict) else content
    print(json.dumps(told, indent=1))


def print_rows(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Rows of equal keys as a JSON list or as aligned columns."""
    if as_json:
        print_json(rows)
        return
    header, *lines = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in [header, *lines]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def in_percent(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures of an epoch with accuracies in percent, under names that say so."""
    return {
        f"{name}_percent" if name.endswith("accuracy") else name: 100 * value if name.endswith("accuracy") else value
        for name, value in figures.items()
    }


def plain_rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows of a frame as JSON has them: what is not known is null."""
    return json.loads(frame.to_json(orient="records"))


def print_files(files: list[Path]) -> None:
    """The names of files that were written, on stderr."""
    print("wrote " + ", ".join(str(file) for file in files), file=sys.stderr)


def print_report(out: Path, files: list[Path], *, metric: str, as_json: bool) -> None:
    """The tables of a folder whose report of a metric was written."""
    from restool.report import results

    if as_json:
        print_json({"out": str(out), "files": [str(file) for file in files], "rows": plain_rows(results(out, metric))})
    else:
        print(_table(out, metric).read_text("utf-8"))
        print_files(files)


def print_reports(outs: list[Path], files: list[Path], *, metric: str, as_json: bool) -> None:
    """The tables of several folders whose reports of a metric were written."""
    from restool.report import results

    if as_json:
        folders = [{"out": str(out), "rows": plain_rows(results(out, metric))} for out in outs]
        print_json({"folders": folders, "files": [str(file) for file in files]})
    else:
        for out in outs:
            print(f"{out}\n\n{_table(out, metric).read_text('utf-8')}")
        print_files(files)


def _table(out: Path, metric: str) -> Path:
    return out / ("table.md" if metric == "accuracy" else f"{metric}-table.md")


def print_grid(out: Path, files: list[Path], keys: Collection[str], *, as_json: bool) -> None:
    """The tables of the settings of some cells, and what else the folder holds; without files, nothing is there yet."""
    from restool.report import of_equal_settings, read_records, summarise, tables_of

    if as_json:
        rows = plain_rows(summarise(of_equal_settings(read_records(out), keys))) if files else []
        print_json({"out": str(out), "files": [str(file) for file in files], "rows": rows})
    elif files:
        told, others = tables_of(out, keys)
        print(told)
        print_files(files)
        for heading in others:
            print(f"{out} also holds {heading}", file=sys.stderr)
        print(
            f"next: look at {next(file for file in files if file.suffix == '.png')}; "
            f"`restool compare {out}:protocol=A protocol=B` says whether a difference is real, "
            f"`restool diagnose {out}/checkpoints/KEY.safetensors --to N` why there is a loss",
            file=sys.stderr,
        )


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1f}"
    return "-" if value is None else str(value)
