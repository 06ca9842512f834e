"""Maps of a grid: panels of coloured cells by target and source or protocol, in sections on one scale of colours."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from restool.report.figures import styled
from restool.report.groups import FEW, MOST, Group, Row, span

CELL, EMPTY = (0.62, 0.36), 0.3
"""Width and height of a cell, for which axes are placed by hand, and its width without a number. All in inches."""
SMALL, LONGEST = 0.08, 16.0
"""The side of a cell along an axis of more than `restool.report.groups.MOST`, and the most that all of them take."""
WORD = 0.18
"""The height of a cell in as many rows whose names are words: every one is named."""
TIGHT = 8
"""The size of a number in such a cell, in points."""
AXIS, LETTER = "target resolution", 0.08
"""The name of the axis below every panel, and about how wide a letter of it or of a title is."""
PAGE, GAP = 8.5, 0.3
"""A row of panels is no wider than the first length, and panels side by side are the second one apart."""
TITLE, PANEL_TITLE, TICKS, LABEL, BAR = 0.28, 0.22, 0.26, 0.2, 0.68
LINE = 0.22
"""A line of the heading is so high."""


@dataclass(frozen=True)
class Section:
    """Panels by their titles: values, NaN where nothing was measured, and what their cells say.

    `unit` is what sizes count, and `rows` what the rows of a titled panel are.
    """

    title: str
    panels: dict[str, pd.DataFrame]
    texts: dict[str, pd.DataFrame]
    unit: str
    rows: str = "source"

    @property
    def dense(self) -> bool:
        """Whether there are too many cells to write into; rows that have words have room for numbers too."""
        rows, columns = next(iter(self.panels.values())).shape
        return columns > MOST or (rows > MOST and not self.has_words)

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell."""
        rows, columns = next(iter(self.panels.values())).shape
        named = max(CELL[0], LETTER * max(map(len, self.columns)))
        if self.has_words:
            return _side(columns, named), WORD if rows > MOST else CELL[1]
        return _side(columns, EMPTY if self.dense else named), _side(rows, CELL[1])

    @property
    def columns(self) -> list[str]:
        """What the targets are called."""
        return [f"{target} {self.unit}" for target in next(iter(self.panels.values())).columns]

    @property
    def has_words(self) -> bool:
        """Whether rows are called by protocols, and not by sizes or numbers that can be told from those around."""
        return not any(self.panels)

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


@dataclass(frozen=True)
class Scale:
    """The colours of values: how they are spread over a map of colours, and the marks of the bar, by value."""

    norm: Normalize
    colours: str
    marks: Mapping[float, str]
    label: str


def compose(heading: str, sections: Sequence[Section], scale: Scale, subtitle: str, legend: str) -> Figure:
    """A figure: its heading and a line below, the sections, the bar of the scale, and a legend."""
    width = max(5.0, *(section.width for section in sections))
    lines, explained = textwrap.wrap(heading, int(width * 11)), textwrap.wrap(legend, int(width * 15))
    height = LINE * (len(lines) + len(explained) + 2) + sum(section.height for section in sections) + BAR
    with styled():
        figure = Figure(figsize=(width, height))
        top = _write(figure, height, lines, size=12, weight="bold")
        top = _write(figure, top, [subtitle], size=9.5)
        for section in sections:
            _draw_section(figure, section, scale, top - LINE / 2)
            top -= section.height
        _draw_bar(_place(figure, 0, top - LINE / 2, 2.6, 0.1), scale)
        _write(figure, top - LINE / 2 - BAR, explained, size=8.5)
    return figure


Told = Callable[[Row], str]
"""What is said of the models of a source, by their row of the summary."""


def told_sources(group: Group, told: Told, name: str) -> str:
    """What was tested: at which source, how many images and how many seeds.

    Args:
        group: of the map.
        told: of a source.
        name: of what is told.
    """
    sources, seeds = group.cells["source"].unique(), span(group.cells["seeds"], "seed")
    single = len(sources) == 1
    own = source_name(group, sources[0], lambda row: f"{name} {told(row)}")
    several = f"source {name} in brackets" if len(group.sources) else "rows are source resolutions"
    several = "rows tell the source resolution" if single_sourced(group) else several
    trained = f"trained at {own}" if single else several
    mean = "mean of " if group.cells["seeds"].max() > 1 else ""
    return f"{trained}, {span(group.cells['n'], f'test {group.noun}')}, {mean}{seeds}"


def source_name(group: Group, source: int, told: Told) -> str:
    """A source size, in brackets what is told of it."""
    at_source = group.at_source(source)
    return f"{source} {group.unit}" if at_source is None else f"{source} {group.unit} ({told(at_source)})"


def single_sourced(group: Group) -> bool:
    """Whether every row of a group has one source resolution."""
    return bool((group.cells.groupby("label")["source"].nunique() == 1).all())


def section(group: Group, cells: pd.DataFrame, title: str, value: str, told: Told) -> Section:
    """The section of some cells of a group, which have columns `text` and one of a value."""
    return Section(title, _panels(group, cells, value, told), _panels(group, cells, "text", told), group.unit)


def by_tuning(cells: pd.DataFrame, titles: tuple[str, str]) -> list[tuple[str, pd.DataFrame]]:
    """The cells before fine-tuning and after it with the title of each, where there are any."""
    tuned = cells["finetune_epochs"] > 0
    return [(title, part) for title, part in zip(titles, (cells[~tuned], cells[tuned]), strict=True) if len(part)]


def unmeasured(sections: Sequence[Section]) -> list[str]:
    """What grey means, where there is any."""
    return ["Grey: not measured."] if any(np.isnan(each.values).any() for each in sections) else []


def _panels(group: Group, cells: pd.DataFrame, column: str, told: Told) -> dict[str, pd.DataFrame]:
    """One untitled table of protocols for one source resolution, else a table of source resolutions per protocol.

    Where every protocol has a single source, as sweeps of a study may, it is one table too, whose rows tell the source.
    """
    names = {source: source_name(group, source, told) for source in group.cells["source"].unique()}
    if single_sourced(group):
        places = cells.drop_duplicates("label").set_index("label")["source"]
        table = cells.pivot(index="label", columns="target", values=column).reindex(places.index, columns=group.targets)
        if len(names) > 1:
            table = table.rename(index=lambda label: f"{label}, from {names[places[label]]}")
        return {"": table}
    panels = {}
    for label, of_label in cells.groupby("label", sort=False):
        table = of_label.pivot(index="source", columns="target", values=column)
        panels[str(label)] = table.reindex(index=list(names), columns=group.targets).rename(index=names)
    return panels


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


def _side(count: int, usual: float) -> float:
    """Of one of so many cells along an axis."""
    return min(SMALL, LONGEST / count) if count > MOST else usual


def _draw_section(figure: Figure, section: Section, scale: Scale, top: float) -> None:
    _write(figure, top, [section.title], size=10)
    top -= TITLE
    columns, (width, height) = section.shape[1], section.panel_size
    for index, title in enumerate(section.panels):
        row, column = divmod(index, columns)
        panel_top = top - (row + 1) * section.pitch + TICKS + height
        ax = _place(figure, column * section.advance, panel_top, width, height)
        _draw_panel(ax, section, title, scale)
        ax.set_title(title, fontsize=9.5)
        if index + columns >= len(section.panels):
            ax.set_xlabel(AXIS)
        if column == 0:
            ax.set_ylabel(section.rows if title else "")
        else:
            ax.set_yticks([])


def _draw_panel(ax: Axes, section: Section, title: str, scale: Scale) -> None:
    table, texts = section.panels[title], None if section.dense else section.texts[title]
    names, (width, height) = section.columns, section.cell
    sns.heatmap(
        table,
        ax=ax,
        cmap=scale.colours,
        norm=scale.norm,
        annot=None if texts is None else texts.astype(object).where(texts.notna(), ""),
        annot_kws={"size": TIGHT} if height == WORD else None,
        fmt="",
        cbar=False,
        linewidths=0 if texts is None else 1.5,
        linecolor="white",
        xticklabels=False if texts is None else names,
        yticklabels=False if texts is None else list(table.index),
        rasterized=texts is None,
    )
    if texts is None:
        room = LETTER * max(map(len, names)) + 0.1
        _set_ticks(ax.xaxis, names, 1 if width >= CELL[0] else max(math.ceil(room / width), _step(len(names))))
        _set_ticks(ax.yaxis, list(table.index), 1 if section.has_words else _step(len(table)))
    ax.set_facecolor("0.93")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0, labelrotation=0)


def _step(count: int) -> int:
    """How far apart the named ones of so many cells along an axis are."""
    return math.ceil(count / FEW) if count > MOST else 1


def _set_ticks(axis: Axis, names: list[str], step: int) -> None:
    """Name cells along an axis that are so many apart."""
    shown = range(0, len(names), step)
    axis.set_ticks([place + 0.5 for place in shown], [names[place] for place in shown])


def _draw_bar(ax: Axes, scale: Scale) -> None:
    bar = ax.figure.colorbar(
        ScalarMappable(scale.norm, scale.colours), cax=ax, orientation="horizontal", label=scale.label
    )
    bar.set_ticks(list(scale.marks), labels=list(scale.marks.values()))
    bar.minorticks_off()
    bar.outline.set_visible(False)
