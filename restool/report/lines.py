"""Accuracy, or another measure, against the target size: a line for every protocol, a panel for every source."""

import math
import textwrap
from typing import Any, Literal

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from restool.report.figures import styled
from restool.report.groups import Group, span
from restool.report.measures import ACCURACY, Measure, counted

WIDTH, HEIGHT, LEGEND = 3.2, 3.0, 1.8
"""Of a panel, and the width beside all panels, inches."""
PANELS = 9
"""More sources than that are thinned out."""
TICKS = 9
"""A panel has no more ticks than that."""
LETTERS = 30
"""A line of the name of the vertical axis has no more letters."""
DECADES = 1000
"""An axis of counts that spans more has labels at powers of ten alone."""
SOURCE = "at the source"
MARKERS = "os^Dv<>Ph*X"


def draw_lines(group: Group, measure: Measure = ACCURACY) -> Figure | None:
    """The lines of a group, or None where no source has two targets.

    The value at the source is a dotted line; after fine-tuning lines are dashed. Bands are the 95 % intervals of an
    accuracy. A measure without a unit has a logarithmic axis.

    Args:
        group: of `restool.report.measure_frame.with_measure`, if it is not the accuracy that is drawn.
        measure: what to draw.
    """
    targets = group.cells.groupby("source")["target"].nunique()
    found = [int(source) for source in targets.index[targets > 1]]
    if not found:
        return None
    sources = found[:: math.ceil(len(found) / PANELS)]
    columns = min(len(sources), 3)
    rows = math.ceil(len(sources) / columns)
    styles = line_styles(group)
    with styled():
        figure = Figure(figsize=(WIDTH * columns + LEGEND, HEIGHT * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, source in zip(panels, sources, strict=False):
            _draw_panel(ax, group, source, measure, styles, titled=len(sources) > 1)
        for ax in panels[len(sources) :]:
            ax.set_axis_off()
        shown = {line.get_label(): line for ax in panels for line in ax.get_lines()}
        order = [label for label in [*styles, SOURCE] if label in shown]
        figure.legend([shown[label] for label in order], order, loc="outside right center", frameon=False)
        tested, seeds = span(group.cells["n"], f"test {group.noun}"), span(group.cells["seeds"], "seed")
        heading = textwrap.wrap(group.heading, int(13 * figure.get_figwidth()))
        chosen = "" if len(sources) == len(found) else f"{len(sources)} of {len(found)} sources, "
        bands = "; bands are 95 % intervals" if measure is ACCURACY else ""
        told = "\n".join([*heading, f"{chosen}{tested}, {seeds}{bands}"])
        figure.suptitle(told, x=0.01, ha="left", fontsize=9.5, parse_math=False)
    return figure


def line_styles(group: Group) -> dict[str, dict[str, Any]]:
    """Colour, marker and stroke of every label, so that lines can be told apart without colour too."""
    labels = list(dict.fromkeys(group.cells["label"]))
    colours = sns.color_palette("colorblind", len(labels))
    tuned = set(group.cells["label"][group.cells["finetune_epochs"] > 0])
    return {
        label: {"color": colour, "marker": MARKERS[place % len(MARKERS)], "linestyle": "--" if label in tuned else "-"}
        for place, (label, colour) in enumerate(zip(labels, colours, strict=True))
    }


def _draw_panel(
    ax: Axes, group: Group, source: int, measure: Measure, styles: dict[str, dict[str, Any]], *, titled: bool
) -> None:
    value, low, high = measure.columns
    of_source = group.cells[group.cells["source"] == source]
    for label, cells in of_source.groupby("label", sort=False):
        cells = cells.sort_values("target")
        style = styles[str(label)]
        ax.plot(cells["target"], cells[value], label=label, markersize=4, linewidth=1.3, **style)
        if measure is ACCURACY:
            ax.fill_between(cells["target"], cells[low], cells[high], color=style["color"], alpha=0.15, linewidth=0)
    at_source = group.at_source(source)
    if at_source is not None:
        ax.axhline(at_source[value], color="0.2", linewidth=1, linestyle=":", label=SOURCE)
    found = sorted(set(of_source["target"]))
    ax.set_xticks(found[:: math.ceil(len(found) / TICKS)])
    if not measure.unit:
        set_counts(ax, "y")
    ax.set(
        xlabel=f"target resolution, {group.unit}",
        ylabel=textwrap.fill(measure.label(group.noun), LETTERS),
        title=f"from {source} {group.unit}" if titled else "",
    )
    ax.grid(axis="y", color="0.9", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def set_counts(ax: Axes, along: Literal["x", "y"]) -> None:
    """A logarithmic axis of counts such as 12.3 M, with labels at powers of ten, or at 1, 2 and 5 of them."""
    ax.set(**{f"{along}scale": "log"})
    axis = ax.xaxis if along == "x" else ax.yaxis
    low, high = axis.get_view_interval()
    steps = (1.0,) if high / low > DECADES else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: counted(value)))
    axis.set_minor_formatter(NullFormatter())
