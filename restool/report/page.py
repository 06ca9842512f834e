"""`report.html`: one file with everything that the records of a folder say, to read without a network or a script."""

import json
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from restool.report.columns import names
from restool.report.figures import render
from restool.report.groups import Group, points, span
from restool.report.tables import CONSISTENCY, CURVES, caption, consistency_rows, curve_rows, rows

FIGURES = {
    "heatmap": ("Difference from the source accuracy, percentage points", "difference"),
    "lines": ("Accuracy in percent against the target resolution", "accuracy"),
}
"""What the figures of a group show, in words and by the column of the summary."""


@dataclass(frozen=True)
class Picture:
    """A figure on the page: what it shows in words, as SVG, and as a table whose first columns are words."""

    told: str
    svg: Markup
    rows: list[list[str]]
    words: int


@dataclass(frozen=True)
class Section:
    """One group of equal settings on the page."""

    heading: str
    caption: str
    figures: list[Picture]
    rows: list[list[str]]
    curves: list[list[str]]
    consistency: list[list[str]]


def page(out: Path, records: pd.DataFrame, groups: list[Group], figures: list[dict[str, Figure]]) -> str:
    """The page of a folder as HTML. Equal records give equal bytes.

    Args:
        out: results folder.
        records: what `restool.report.read_records` gives.
        groups: of them.
        figures: of every group, those of `FIGURES` that it has.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((files("restool.report") / "page.html.j2").read_text("utf-8"))
    return template.render(
        sections=[_section(*pair) for pair in zip(groups, figures, strict=True)],
        curves_told=CURVES,
        consistency_told=CONSISTENCY,
        provenance=_provenance(out, records),
    )


def _section(group: Group, figures: dict[str, Figure]) -> Section:
    pictures = []
    for kind, figure in figures.items():
        told, column = FIGURES[kind]
        pictures.append(Picture(f"{told}: {group.heading}", _svg(figure), _numbers(group, column), 2))
    curves = curve_rows(group.curves) if (group.curves["targets"] > 1).any() else []
    agreeing = consistency_rows(group.consistency) if len(group.consistency) else []
    return Section(group.heading, caption(group), pictures, rows(group) if group.targets else [], curves, agreeing)


def _svg(figure: Figure) -> Markup:
    """The figure as an element: without the lines before it, which only a file has."""
    text = render(figure, "svg").decode()
    return Markup(text[text.index("<svg") :])  # noqa: S704 (matplotlib wrote it, and escapes what it writes)


def _numbers(group: Group, column: str) -> list[list[str]]:
    """What a figure shows, one row per cell, with the ends of the interval."""
    unit = "points" if column == "difference" else "percent"
    table = [["source", "protocol", "target", unit, "from", "to", "n", "seeds"]]
    for row in group.cells.dropna(subset=f"{column}_{unit}").to_dict("records"):
        values = [row[name] for name in names(column, unit)]
        told = [points(value) if unit == "points" else f"{value:.1f}" for value in values]
        place = [f"{row['source']} px", row["label"], f"{row['target']} px"]
        table.append([*place, *told, str(row["n"]), str(row["seeds"])])
    return table


def _provenance(out: Path, records: pd.DataFrame) -> list[list[str]]:
    """What the records say of where and by what they were made, and of how many that is so."""
    counted: dict[str, Counter[str]] = {}
    for key in records["key"]:
        environment = json.loads((out / "records" / f"{key}.json").read_text("utf-8"))["environment"]
        for name, value in environment.items():
            counted.setdefault(name, Counter())[value if isinstance(value, str) else json.dumps(value)] += 1
    table = [["what", "value", "records"]]
    table.append(["seeds", span(records.groupby("model", sort=False)["seed"].nunique(), "seed"), str(len(records))])
    for name in sorted(counted):
        table += [[name, value, str(count)] for value, count in sorted(counted[name].items())]
    return table
