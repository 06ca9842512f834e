"""`report.html`: one file with everything that results folders hold, to read without a network or a script."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from restool.evidence.spelling import names
from restool.report import diagnosis, portrait, portraits, provenance
from restool.report.cost import cost_rows
from restool.report.diagnosis import Diagnosed, read_diagnoses
from restool.report.figures import render
from restool.report.groups import Group, points
from restool.report.tables import CONSISTENCY, CURVES, caption, consistency_rows, curve_rows, rows

FIGURES = {
    "heatmap": "Difference from the source accuracy, percentage points",
    "lines": "Accuracy in percent against the target resolution",
    "cost": "Accuracy in percent against the operations and the speed of every target size, to choose one by",
}
"""What the figures of a group show, in words."""
TOGETHER = f"{FIGURES['heatmap']}, a row for every setting under its number in the list above"


@dataclass(frozen=True)
class Table:
    """A table on the page: its heading, what it says in words, and its rows, whose first columns are words."""

    heading: str
    told: str
    rows: list[list[str]]
    words: int


@dataclass(frozen=True)
class Picture:
    """A figure on the page: what it shows in words, as SVG, and as tables."""

    told: str
    svg: Markup
    numbers: list[Table]


@dataclass(frozen=True)
class Section:
    """A part of a chapter: its heading, what it says in words, its figures, its tables, and what to type for it."""

    heading: str
    told: str
    figures: list[Picture]
    tables: list[Table]
    commands: list[str]


@dataclass(frozen=True)
class Chapter:
    """What the page says of a folder: figures of all of it, and its parts."""

    name: str
    figures: list[Picture]
    sections: list[Section]


def page(chapters: list[Chapter]) -> str:
    """The page of one or several folders as HTML. Equal records give equal bytes."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((files("restool.report") / "page.html.j2").read_text("utf-8"))
    return template.render(chapters=chapters)


def chapter(
    out: Path, records: pd.DataFrame, groups: list[Group], figures: list[dict[str, Figure]], together: Figure | None
) -> Chapter:
    """What the page says of a folder: every group of equal settings, every diagnosis, and where all that comes from.

    Args:
        out: results folder.
        records: what `restool.report.read_records` gives.
        groups: of them.
        figures: of every group, those of `FIGURES` that it has.
        together: of all groups, or None.

    Raises:
        UsageError: a diagnosis is damaged.
    """
    parts = provenance.of_settings(records)
    sections = [_section(*each) for each in zip(groups, figures, parts, strict=True)]
    sections += [_diagnosis(found) for found in read_diagnoses(out)]
    machines = Table("", "", provenance.machines(records), 2)
    pictures = [] if together is None else [Picture(TOGETHER, _svg(together), [_all_curves(groups)])]
    return Chapter(out.name, pictures, [*sections, Section("Provenance", "", [], [machines], [])])


def _all_curves(groups: list[Group]) -> Table:
    """The curves of many groups under their numbers."""
    numbered = [group.curves.assign(setting=str(number)) for number, group in enumerate(groups, start=1)]
    return Table("", CURVES, curve_rows(pd.concat(numbered), ["setting"]), 3)


def _section(group: Group, figures: dict[str, Figure], records: pd.DataFrame) -> Section:
    pictures = []
    for kind, figure in figures.items():
        pictures.append(Picture(f"{FIGURES[kind]}: {group.heading}", _svg(figure), [_numbers(group, kind)]))
    tables = [Table("All cells", "", rows(group), 2)] if group.targets else []
    if (group.curves["targets"] > 1).any():
        tables.append(Table("Along the curve", CURVES, curve_rows(group.curves), 2))
    if len(group.consistency):
        tables.append(
            Table(
                "Consistency with the source",
                CONSISTENCY.format(noun=group.noun),
                consistency_rows(group.consistency),
                2,
            )
        )
    if seconds := provenance.seconds(records):
        tables.append(Table("Time", provenance.SECONDS.format(noun=group.noun), seconds, 3))
    return Section(group.heading, caption(group), pictures, tables, provenance.commands(records))


def _diagnosis(found: Diagnosed) -> Section:
    """Why a model loses at a target: the verdict, causes and layers, and the kernels."""
    heading = diagnosis.heading(found)
    causes = Table("", "", diagnosis.causes(found), 1)
    layers, norms = (Table("", "", table(found), 1) for table in (diagnosis.layers, diagnosis.norms))
    told = f"What the repair of one cause alone gives back, and how far every layer's response parts: {heading}"
    pictures = [
        Picture(told, _svg(diagnosis.draw(found)), [causes, *(each for each in (layers, norms) if each.rows[1:])])
    ]
    if kernels := found["kernels"]:
        source, target = found["source"], found["target"]
        numbers = portrait.table(kernels, source, target)
        shown = [[str(name) for name in numbers], *numbers.map(_short).to_numpy().tolist()]
        figure = portraits.draw(kernels, source, target)
        told = f"Learned kernels from shallow to deep, and their energy by frequency: {heading}"
        pictures.append(Picture(told, _svg(figure), [Table("", "", shown, 1)]))
    options = {"to": found["target"], "dataset": found["dataset"], "limit": found["limit"] or ""}
    command = provenance.typed("diagnose", {name: str(value) for name, value in options.items()}, found["checkpoint"])
    return Section(f"Diagnosis: {heading}", found["verdict"], pictures, [], [command])


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _svg(figure: Figure) -> Markup:
    """The figure as an element: without the lines before it, which only a file has."""
    text = render(figure, "svg").decode()
    return Markup(text[text.index("<svg") :])  # noqa: S704 (matplotlib wrote it, and escapes what it writes)


def _numbers(group: Group, kind: str) -> Table:
    """What a figure shows, one row per cell, with the ends of the interval."""
    group = group.thinned
    if kind == "cost":
        return Table("", "", cost_rows(group), 2)
    column, unit = ("difference", "points") if kind == "heatmap" else ("accuracy", "percent")
    table = [["source", "protocol", "target", unit, "from", "to", "n", "seeds"]]
    for row in group.cells.dropna(subset=f"{column}_{unit}").to_dict("records"):
        values = [row[name] for name in names(column, unit)]
        told = [points(value) if unit == "points" else f"{value:.1f}" for value in values]
        place = [f"{row['source']} {group.unit}", row["label"], f"{row['target']} {group.unit}"]
        table.append([*place, *told, str(row["n"]), str(row["seeds"])])
    return Table("", "", table, 2)
