"""Tables and heat maps as a pure function of records: the same records give the same bytes."""

from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from restool.arguments import require_choice
from restool.files import write_files
from restool.report.comparison import Comparison, compare, parse_sides
from restool.report.curve import curves
from restool.report.frame import of_equal_settings, read_records, summarise
from restool.report.groups import headings, split
from restool.report.outputs import consistency
from restool.report.tables import csv, latex, markdown

__all__ = [
    "Comparison",
    "compare",
    "consistency",
    "curves",
    "of_equal_settings",
    "parse_sides",
    "read_records",
    "results",
    "summarise",
    "tables_of",
    "write_report",
]


Metric = Literal["accuracy", "curve", "consistency"]


def results(out: str | Path, metric: Metric = "accuracy") -> pd.DataFrame:
    """What the records of a folder say, as a frame whose columns are named after figure and unit, with intervals.

    Args:
        out: results folder.
        metric: "accuracy" for a row per cell (see `summarise`), "curve" for one per source and protocol (`curves`),
            "consistency" for one per cell whose logits were kept (`consistency`).

    Raises:
        MissingDataError: there are no records.
        UsageError: a record or its logits are damaged, or there is no such metric.
    """
    require_choice("metric", metric, get_args(Metric))
    records = read_records(Path(out))
    if metric == "consistency":
        return consistency(Path(out), records)
    return curves(records) if metric == "curve" else summarise(records)


def tables_of(out: Path, keys: Collection[str]) -> tuple[str, list[str]]:
    """The tables of the settings that some records have, as Markdown, and the headings of all others of the folder."""
    records = read_records(out)
    shown = of_equal_settings(records, keys)
    others = records[~records["key"].isin(shown["key"])]
    return markdown(split(summarise(shown), curves(shown), consistency(out, shown))), headings(others)


def write_report(out: Path) -> list[Path]:
    """Write the tables, figures and page of the records in `out/records`.

    Tables are `table.*`, `curves.csv` and, of cells whose logits were kept, `consistency.csv`. A figure is `heatmap.*`
    or, accuracy over the target size, `lines.*`, as PNG and PDF; `heatmap-<settings>.*` and `lines-<settings>.*` where
    the records have several settings. `report.html` holds all of it. Files of what has no record any more are removed.
    Nothing is written unless all of it could be made.

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
    from restool.report.page import FIGURES, page

    records = read_records(out)
    summary, along = summarise(records), curves(records)
    agreeing = consistency(out, records)
    groups = split(summary, along, agreeing)
    texts = {"table.md": markdown(groups), "table.csv": csv(summary), "table.tex": latex(groups)}
    beside = {"curves.csv": along, "consistency.csv": agreeing}
    texts |= {name: csv(frame) for name, frame in beside.items() if len(frame)}
    drawn = [{"heatmap": draw(group), "lines": draw_lines(group)} for group in groups]
    figures = [{kind: figure for kind, figure in each.items() if figure is not None} for each in drawn]
    texts["report.html"] = page(out, records, groups, figures)
    files = {name: text.encode() for name, text in texts.items()}
    for group, each in zip(groups, figures, strict=True):
        for kind, figure in each.items():
            name = kind if len(groups) == 1 else f"{kind}-{group.slug}"
            files |= as_files(name, figure)
    paths = write_files(out, files)
    derived = [f"{kind}{rest}.{suffix}" for kind, rest, suffix in product(FIGURES, ("", "-*"), ("png", "pdf"))]
    for path in [path for pattern in [*derived, *beside] for path in out.glob(pattern)]:
        if path.name not in files:
            path.unlink()
    return paths
