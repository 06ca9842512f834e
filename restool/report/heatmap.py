"""Heat maps of transfer: what is lost at a target, before fine-tuning and after it, on one scale."""

import math
import textwrap
from dataclasses import dataclass

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.figure import Figure

from restool.report.figures import STYLE
from restool.report.groups import Group, Row, is_significant, points, span

CELL, SMALL_CELL = (0.62, 0.36), (0.08, 0.08)
"""Width and height of a cell, for which axes are placed by hand. All lengths are in inches."""
MOST = 25
"""With more rows or columns than that, cells are small and hold no number, and not every one has a tick."""
TICKED = 10
"""A dense panel has about so many ticks along an axis."""
AXIS, LETTER = "target resolution", 0.08
"""The name of the axis below every panel, and about how wide a letter of it or of a title is."""
PAGE, GAP = 8.5, 0.3
"""A row of panels is no wider than the first length, and panels side by side are the second one apart."""
TITLE, PANEL_TITLE, TICKS, LABEL, BAR = 0.28, 0.22, 0.26, 0.2, 0.68
LINE = 0.22
"""A line of the heading is so high."""


@dataclass(frozen=True)
class Section:
    """Panels by their titles: differences in points, NaN where nothing was measured, and what their cells say.

    `unit` is what sizes count.
    """

    title: str
    panels: dict[str, pd.DataFrame]
    texts: dict[str, pd.DataFrame]
    unit: str

    @property
    def dense(self) -> bool:
        """Whether there are too many cells to write into."""
        return max(next(iter(self.panels.values())).shape) > MOST

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell."""
        return SMALL_CELL if self.dense else CELL

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of panels that fit the page."""
        columns = max(1, min(len(self.panels), int(PAGE // self.advance)))
        return math.ceil(len(self.panels) / columns), columns

    @property
    def panel_size(self) -> tuple[float, float]:
        """Width and height of the cells of one panel, inches."""
        rows, columns = next(iter(self.panels.values())).shape
        return self.cell[0] * columns, self.cell[1] * rows

    @property
    def width(self) -> float:
        return self.shape[1] * self.advance

    @property
    def height(self) -> float:
        return TITLE + self.shape[0] * self.pitch + LABEL + LINE

    @property
    def advance(self) -> float:
        """Distance from one panel to the next beside it, inches; titles and axis labels may be wider than the cells."""
        longest = max(map(len, [*self.panels, AXIS]))
        return max(self.panel_size[0], LETTER * longest) + GAP

    @property
    def pitch(self) -> float:
        """Distance from one row of panels to the next, inches."""
        return self.panel_size[1] + TICKS + (PANEL_TITLE if any(self.panels) else 0)

    @property
    def values(self) -> np.ndarray:
        return np.concatenate([table.to_numpy(float).ravel() for table in self.panels.values()])


def draw(group: Group) -> Figure | None:
    """The heat map of a group, or None where it has no cell to show.

    Cells hold the difference from the source accuracy in percentage points; those in brackets are not significant. All
    panels share one colour scale, centred at 0, on which the depth of a colour is the root of the difference, so that
    one point can be told from none and sixty from twenty. With one source resolution the rows are the protocols; with
    several there is a panel per protocol, whose rows are the source resolutions.
    """
    sections = _sections(group)
    if not sections:
        return None
    norm = _scale(sections)
    width = max(5.0, *(section.width for section in sections))
    heading = textwrap.wrap(group.heading, int(width * 11))
    legend = textwrap.wrap(_legend(sections), int(width * 15))
    height = LINE * (len(heading) + len(legend) + 2) + sum(section.height for section in sections) + BAR
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(width, height))
        top = _write(figure, height, heading, size=12, weight="bold")
        top = _write(figure, top, [_subtitle(group)], size=9.5)
        for section in sections:
            _draw_section(figure, section, norm, top - LINE / 2)
            top -= section.height
        _draw_bar(_place(figure, 0, top - LINE / 2, 2.6, 0.1), norm)
        _write(figure, top - LINE / 2 - BAR, legend, size=8.5)
    return figure


def _legend(sections: list[Section]) -> str:
    """What the brackets and the grey mean, where there are any."""
    texts = [text for section in sections for table in section.texts.values() for text in table.to_numpy().ravel()]
    told = []
    if any(str(text).startswith("(") for text in texts) and not any(section.dense for section in sections):
        told.append("In brackets: not significant, p at least 0.05 after Holm's correction for all cells.")
    if any(np.isnan(section.values).any() for section in sections):
        told.append("Grey: not measured.")
    return " ".join(told)


def _subtitle(group: Group) -> str:
    sources, seeds = group.cells["source"].unique(), span(group.cells["seeds"], "seed")
    single = len(sources) == 1
    trained = f"trained at {_source_name(group, sources[0], 'accuracy ')}" if single else "source accuracy in brackets"
    mean = "mean of " if group.cells["seeds"].max() > 1 else ""
    return f"{trained}, {span(group.cells['n'], f'test {group.noun}')}, {mean}{seeds}"


def _sections(group: Group) -> list[Section]:
    """Before fine-tuning and after it."""
    compared = group.cells.dropna(subset="difference_points")
    compared = compared.assign(text=[_text(row) for row in compared.to_dict("records")])
    tuned = compared["finetune_epochs"] > 0
    titles = (
        "Zero-shot: accuracy at the target minus accuracy at the source",
        "After fine-tuning at the target",
    )
    parts = zip(titles, (compared[~tuned], compared[tuned]), strict=True)
    return [
        Section(title, _panels(group, cells, "difference_points"), _panels(group, cells, "text"), group.unit)
        for title, cells in parts
        if len(cells)
    ]


def _text(row: Row) -> str:
    """A cell in words, in brackets where it is not significant."""
    text = points(row["difference_points"]).replace("-", "\N{MINUS SIGN}")
    return text if is_significant(row) else f"({text})"


def _scale(sections: list[Section]) -> FuncNorm:
    """As far below 0 as above it, to the next multiple of 4 points, by the root."""
    largest = max(np.nanmax(np.abs(section.values)) for section in sections)
    limit = 4.0 * max(1, math.ceil(largest / 4))
    return FuncNorm((lambda x: np.sign(x) * np.sqrt(np.abs(x)), lambda y: np.sign(y) * y**2), -limit, limit)


def _panels(group: Group, cells: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """One untitled table of protocols for one source resolution, else a table of source resolutions per protocol."""
    names = {source: _source_name(group, source) for source in group.cells["source"].unique()}
    if len(names) == 1:
        table = cells.pivot(index="label", columns="target", values=column)
        return {"": table.reindex(index=cells["label"].unique(), columns=group.targets)}
    panels = {}
    for label, of_label in cells.groupby("label", sort=False):
        table = of_label.pivot(index="source", columns="target", values=column)
        panels[str(label)] = table.reindex(index=list(names), columns=group.targets).rename(index=names)
    return panels


def _source_name(group: Group, source: int, word: str = "") -> str:
    at_source = group.at_source(source)
    return (
        f"{source} {group.unit}"
        if at_source is None
        else f"{source} {group.unit} ({word}{at_source['accuracy_percent']:.1f} %)"
    )


def _write(figure: Figure, top: float, lines: list[str], *, size: float, weight: str = "normal") -> float:
    """Left-aligned lines from a height in inches downwards; returns where they end."""
    height = figure.get_figheight()
    for line in lines:
        figure.text(0, top / height, line, fontsize=size, fontweight=weight, va="top", parse_math=False)
        top -= LINE
    return top


def _place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    total_width, total_height = figure.get_size_inches()
    return figure.add_axes(
        (left / total_width, (top - height) / total_height, width / total_width, height / total_height)
    )


def _draw_section(figure: Figure, section: Section, norm: Normalize, top: float) -> None:
    _write(figure, top, [section.title], size=10)
    top -= TITLE
    columns, (width, height) = section.shape[1], section.panel_size
    for index, (title, table) in enumerate(section.panels.items()):
        row, column = divmod(index, columns)
        panel_top = top - (row + 1) * section.pitch + TICKS + height
        ax = _place(figure, column * section.advance, panel_top, width, height)
        _draw_panel(ax, table, None if section.dense else section.texts[title], norm, section.unit)
        ax.set_title(title, fontsize=9.5)
        if index + columns >= len(section.panels):
            ax.set_xlabel(AXIS)
        if column == 0:
            ax.set_ylabel("source" if title else "")
        else:
            ax.set_yticks([])


def _draw_panel(ax: Axes, table: pd.DataFrame, texts: pd.DataFrame | None, norm: Normalize, unit: str) -> None:
    names = [f"{target} {unit}" for target in table.columns]
    sns.heatmap(
        table,
        ax=ax,
        cmap="RdBu",
        norm=norm,
        annot=None if texts is None else texts.astype(object).where(texts.notna(), ""),
        fmt="",
        cbar=False,
        linewidths=0 if texts is None else 1.5,
        linecolor="white",
        xticklabels=names,
        yticklabels=list(table.index),
    )
    if texts is None:
        for axis, labels in ((ax.xaxis, names), (ax.yaxis, list(table.index))):
            shown = range(0, len(labels), math.ceil(len(labels) / TICKED))
            axis.set_ticks([place + 0.5 for place in shown], [labels[place] for place in shown])
    ax.set_facecolor("0.93")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0, labelrotation=0)


def _draw_bar(ax: Axes, norm: FuncNorm) -> None:
    """The scale, marked where the root of the difference is at none, half and all of the largest."""
    limit = float(norm.vmax or 0)
    bar = ax.figure.colorbar(
        ScalarMappable(norm, "RdBu"), cax=ax, orientation="horizontal", label="percentage points vs source accuracy"
    )
    marks = [-limit, -limit / 4, 0, limit / 4, limit]
    bar.set_ticks(marks, labels=[f"{mark:g}".replace("-", "\N{MINUS SIGN}") for mark in marks])
    bar.minorticks_off()
    bar.outline.set_visible(False)
