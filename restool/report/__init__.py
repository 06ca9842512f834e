"""Tables and heat maps as a pure function of records: the same records give the same bytes."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from restool.arguments import require_choice
from restool.files import write_files
from restool.report.comparison import Comparison, compare, parse_sides
from restool.report.curve import curves
from restool.report.frame import of_equal_settings, read_records, summarise
from restool.report.groups import headings, split
from restool.report.measure_frame import measured
from restool.report.measures import ACCURACY, MEASURES, METRICS
from restool.report.outputs import consistency
from restool.report.provenance import with_mixed
from restool.report.tables import markdown

__all__ = [
    "METRICS",
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
    "write_page",
    "write_report",
    "write_reports",
]

TABLES = (ACCURACY.name, "curve", "consistency", *MEASURES)
"""What `results` gives."""


def results(out: str | Path, metric: str = ACCURACY.name) -> pd.DataFrame:
    """What the records of a folder say, as a frame whose columns are named after figure and unit, with intervals.

    Args:
        out: results folder.
        metric: "accuracy" for a row per cell (see `summarise`), "curve" for one per source and protocol (`curves`),
            "consistency" for one per cell whose logits were kept (`consistency`), or the name of another measure such
            as "nll" for one per cell, blank where it lacks it (`restool.report.measure_frame.measured`).

    Raises:
        MissingDataError: there are no records.
        UsageError: a record or its logits are damaged, or there is no such metric.
    """
    require_choice("metric", metric, TABLES)
    records = read_records(Path(out))
    if metric in MEASURES:
        return measured(records, MEASURES[metric])
    if metric == "consistency":
        return consistency(Path(out), records)
    return curves(records) if metric == "curve" else summarise(records)


def tables_of(out: Path, keys: Collection[str]) -> tuple[str, list[str]]:
    """The tables of the settings that some records have, as Markdown, and the headings of all others of the folder."""
    records = read_records(out)
    shown = of_equal_settings(records, keys)
    others = records[~records["key"].isin(shown["key"])]
    groups = with_mixed(split(summarise(shown), curves(shown), consistency(out, shown)), shown)
    return markdown(groups), headings(others)


def write_report(out: Path, metric: str = ACCURACY.name) -> list[Path]:
    """Write the tables, figures and page of the records in `out/records`.

    Tables are `table.*`, `curves.csv` and, of cells whose logits were kept, `consistency.csv`. A figure is `heatmap.*`
    or, accuracy over the target size, `lines.*`, or, over what an image costs, `cost.*`, as PNG and PDF;
    `heatmap-<settings>.*` and so on where the records have several settings, and one `heatmap.*` with a row for each of
    more than `restool.report.groups.MANY`. `report.html` holds all of it and the diagnoses of the folder. Files of what
    has no record any more are removed. Nothing is written unless all of it could be made.

    Args:
        out: results folder.
        metric: what to report, one of `METRICS`. Of all but the accuracy there are `METRIC-table.*`,
            `METRIC-heatmap.*` and `METRIC-lines.*`, and no page.

    Returns:
        The files written.

    Raises:
        MissingDataError: there are no records, or none tells the metric.
        UsageError: a record, its logits or a diagnosis is damaged, or there is no such metric.
    """
    return write_reports([out], metric)


def write_reports(outs: Sequence[Path], metric: str = ACCURACY.name) -> list[Path]:
    """Write the reports of several folders, or of none unless all could be made; see `write_report`."""
    from restool.report.folder import make_report, write_measures  # seaborn takes a second that only figures need

    require_choice("metric", metric, METRICS)
    if metric in MEASURES:
        return write_measures(outs, MEASURES[metric])
    return [path for report in [make_report(out) for out in outs] for path in report.write()]


def write_page(outs: Sequence[Path], to: Path) -> list[Path]:
    """Write the reports of several folders, and one page with all of them, a chapter each, to a file.

    Returns:
        The files written, and raises what `write_report` does.
    """
    from restool.report.folder import make_report
    from restool.report.page import page

    reports = [make_report(out) for out in outs]
    write_files(to.parent, {to.name: page([report.chapter for report in reports]).encode()})
    return [*(path for report in reports for path in report.write()), to]
