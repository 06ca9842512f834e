"""Tables and heat maps as a pure function of records: the same records give the same bytes."""

from collections.abc import Collection
from itertools import product
from pathlib import Path

import pandas as pd

from restool.files import write_files
from restool.report.comparison import Comparison, compare, parse_sides
from restool.report.curve import curves
from restool.report.frame import of_equal_settings, read_records, summarise
from restool.report.groups import headings, split
from restool.report.tables import csv, latex, markdown

__all__ = [
    "Comparison",
    "compare",
    "curves",
    "of_equal_settings",
    "parse_sides",
    "read_records",
    "results",
    "summarise",
    "tables_of",
    "write_report",
]


def results(out: str | Path) -> pd.DataFrame:
    """One row per cell of a results folder, in percent and points with intervals: see `summarise` for the columns.

    Raises:
        MissingDataError: there are no records.
        UsageError: a record is damaged.
    """
    return summarise(read_records(Path(out)))


def tables_of(out: Path, keys: Collection[str]) -> tuple[str, list[str]]:
    """The tables of the settings that some records have, as Markdown, and the headings of all others of the folder."""
    records = read_records(out)
    shown = of_equal_settings(records, keys)
    others = records[~records["key"].isin(shown["key"])]
    return markdown(split(summarise(shown), curves(shown))), headings(others)


def write_report(out: Path) -> list[Path]:
    """Write the tables, `table.*` and `curves.csv`, the figures and the page of the records in `out/records`.

    A figure is `heatmap.*` or, accuracy over the target size, `lines.*`, as PNG and PDF; `heatmap-<settings>.*` and
    `lines-<settings>.*` where the records have several settings. Figures of settings that have no record any more are
    removed. `report.html` holds all of it. Nothing is written unless all of it could be made.

    Returns:
        The files written.

    Raises:
        MissingDataError: there are no records.
        UsageError: a record is damaged.
    """
    # seaborn takes a second that only figures need
    from restool.report.figures import as_files
    from restool.report.heatmap import draw
    from restool.report.lines import draw_lines
    from restool.report.page import page

    records = read_records(out)
    summary, along = summarise(records), curves(records)
    groups = split(summary, along)
    texts = {"table.md": markdown(groups), "table.csv": csv(summary), "table.tex": latex(groups)}
    texts |= {"curves.csv": csv(along)} if len(along) else {}
    drawn = [{"heatmap": draw(group), "lines": draw_lines(group)} for group in groups]
    figures = [{kind: figure for kind, figure in each.items() if figure is not None} for each in drawn]
    texts["report.html"] = page(out, records, groups, figures)
    files = {name: text.encode() for name, text in texts.items()}
    for group, each in zip(groups, figures, strict=True):
        for kind, figure in each.items():
            name = kind if len(groups) == 1 else f"{kind}-{group.slug}"
            files |= as_files(name, figure)
    paths = write_files(out, files)
    for kind, suffix in product(("heatmap", "lines"), ("png", "pdf")):
        for path in [*out.glob(f"{kind}.{suffix}"), *out.glob(f"{kind}-*.{suffix}")]:
            if path.name not in files:
                path.unlink()
    return paths
