"""Heat maps of transfer: what is lost before fine-tuning, and the accuracy after it."""

import io
import math
import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from restool.report.groups import Group, points, span

CELL_WIDTH, CELL_HEIGHT = 0.62, 0.36
"""A cell measures so many inches in every figure, for which axes are placed by hand. All lengths are in inches."""
PAGE, GAP = 8.5, 0.3
"""A row of panels is no wider than the first length, and panels side by side are the second one apart."""
TITLE, PANEL_TITLE, TICKS, LABEL, BAR = 0.28, 0.22, 0.26, 0.2, 0.68
LINE = 0.22
"""A line of the heading is so high."""

SATURATION = 20.0
"""Differences beyond this many points share one colour, so that a protocol at chance does not hide the others."""
STYLE: list[Any] = ["default", {"font.size": 9, "pdf.fonttype": 42}]
METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
"""A file leaves these entries out, because they would make its bytes depend on more than its records."""


@dataclass(frozen=True)
class Section:
    """Panels that share one colour scale: titles and tables, NaN where nothing was measured."""

    title: str
    unit: str
    cmap: str
    norm: Normalize
    signed: bool
    panels: dict[str, pd.DataFrame]

    def text(self, value: float) -> str:
        """A cell in words; blank where nothing was measured."""
        if math.isnan(value):
            return ""
        return points(value).replace("-", "\N{MINUS SIGN}") if self.signed else f"{value:.1f}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of panels that fit the page."""
        width = CELL_WIDTH * next(iter(self.panels.values())).shape[1] + GAP
        columns = max(1, min(len(self.panels), int(PAGE // width)))
        return math.ceil(len(self.panels) / columns), columns

    @property
    def panel_size(self) -> tuple[float, float]:
        """Width and height of the cells of one panel, inches."""
        rows, columns = next(iter(self.panels.values())).shape
        return CELL_WIDTH * columns, CELL_HEIGHT * rows

    @property
    def width(self) -> float:
        return self.shape[1] * (self.panel_size[0] + GAP)

    @property
    def height(self) -> float:
        return TITLE + self.shape[0] * self.pitch + LABEL + BAR

    @property
    def pitch(self) -> float:
        """Distance from one row of panels to the next, inches."""
        return self.panel_size[1] + TICKS + (PANEL_TITLE if any(self.panels) else 0)

    @property
    def values(self) -> np.ndarray:
        return np.concatenate([table.to_numpy(float).ravel() for table in self.panels.values()])


def render(figure: Figure, suffix: str) -> bytes:
    """The figure as a PNG or PDF file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    with matplotlib.style.context(STYLE):
        figure.savefig(buffer, format=suffix, dpi=180, metadata=METADATA[suffix], bbox_inches="tight", pad_inches=0.1)
    return buffer.getvalue()


def draw(group: Group) -> Figure | None:
    """The heat map of a group, or None where it has no cell to show.

    Before fine-tuning the cells hold the difference from the source accuracy in percentage points, on one colour scale
    centred at 0; after fine-tuning they hold the accuracy in percent. With one source resolution the rows are the
    protocols; with several there is a panel per protocol, whose rows are the source resolutions.
    """
    sections = _sections(group)
    if not sections:
        return None
    width = max(5.0, *(section.width for section in sections))
    heading = textwrap.wrap(group.heading, int(width * 11))
    height = LINE * (len(heading) + 1) + sum(section.height + LINE for section in sections)
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(width, height))
        top = _write(figure, height, heading, size=12, weight="bold")
        top = _write(figure, top, [_subtitle(group)], size=9.5)
        for section in sections:
            _draw_section(figure, section, top - LINE / 2)
            top -= section.height + LINE
    return figure


def _subtitle(group: Group) -> str:
    sources, seeds = group.cells["source"].unique(), span(group.cells["seeds"], "seed")
    single = len(sources) == 1
    trained = f"trained at {_source_name(group, sources[0], 'accuracy ')}" if single else "source accuracy in brackets"
    mean = "mean of " if group.cells["seeds"].max() > 1 else ""
    return f"{trained}, {span(group.cells['n'], 'test image')}, {mean}{seeds}"


def _sections(group: Group) -> list[Section]:
    tuned = group.cells["finetune_epochs"] > 0
    before = _panels(group, group.cells[~tuned].dropna(subset="difference_points"), "difference_points")
    after = _panels(group, group.cells[tuned], "accuracy_percent")
    sections = []
    if before:
        largest = group.cells["difference_points"][~tuned].abs().max()
        limit = min(max(1.0, math.ceil(largest)), SATURATION)
        title = "Zero-shot: accuracy at the target minus accuracy at the source"
        unit = "percentage points vs source accuracy"
        sections.append(Section(title, unit, "RdBu", Normalize(-limit, limit), True, before))
    if after:
        accuracy = group.cells["accuracy_percent"][tuned]
        top = min(math.floor(accuracy.max()) + 1, 100)
        norm = Normalize(min(math.floor(accuracy.min()), top - 1), top)
        title = "After fine-tuning at the target: accuracy"
        sections.append(Section(title, "accuracy in percent", "YlGnBu", norm, False, after))
    return sections


def _panels(group: Group, cells: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """One untitled table of protocols for one source resolution, else a table of source resolutions per protocol."""
    if cells.empty:
        return {}
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
    at_source = group.source_accuracy(source)
    return f"{source} px ({word}{at_source[0]:.1f} %)" if at_source else f"{source} px"


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


def _draw_section(figure: Figure, section: Section, top: float) -> None:
    note = " (grey: not measured)" if np.isnan(section.values).any() else ""
    _write(figure, top, [section.title + note], size=10)
    top -= TITLE
    (rows, columns), (width, height) = section.shape, section.panel_size
    for index, (title, table) in enumerate(section.panels.items()):
        row, column = divmod(index, columns)
        panel_top = top - (row + 1) * section.pitch + TICKS + height
        ax = _place(figure, column * (width + GAP), panel_top, width, height)
        _draw_panel(ax, section, table)
        ax.set_title(title, fontsize=9.5)
        if index + columns >= len(section.panels):
            ax.set_xlabel("target resolution")
        if column == 0:
            ax.set_ylabel("source" if title else "")
        else:
            ax.set_yticks([])
    bar_top = top - rows * section.pitch - LABEL - 0.12
    _draw_bar(_place(figure, 0, bar_top, 2.6, 0.1), section)


def _draw_panel(ax: Axes, section: Section, table: pd.DataFrame) -> None:
    sns.heatmap(
        table,
        ax=ax,
        cmap=section.cmap,
        norm=section.norm,
        annot=table.map(section.text),
        fmt="",
        cbar=False,
        linewidths=1.5,
        linecolor="white",
        xticklabels=[f"{target} px" for target in table.columns],
    )
    ax.set_facecolor("0.93")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0, labelrotation=0)


def _draw_bar(ax: Axes, section: Section) -> None:
    below, above = np.nanmin(section.values) < section.norm.vmin, np.nanmax(section.values) > section.norm.vmax
    extend = ("both" if above else "min") if below else ("max" if above else "neither")
    scale = ScalarMappable(section.norm, section.cmap)
    bar = ax.figure.colorbar(scale, cax=ax, orientation="horizontal", extend=extend, label=section.unit)
    bar.outline.set_visible(False)
