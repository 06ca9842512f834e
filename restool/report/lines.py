"""Accuracy against the target size: a line and a band for every protocol, a panel for every source."""

import math
import textwrap
from typing import Any

import matplotlib.style
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restool.report.figures import STYLE
from restool.report.groups import Group, span

WIDTH, HEIGHT, LEGEND = 3.2, 3.0, 1.8
"""Of a panel, and the width beside all panels, inches."""
PANELS = 9
"""More sources than that are thinned out."""
TICKS = 9
"""A panel has no more ticks than that."""
SOURCE = "at the source"
MARKERS = "os^Dv<>Ph*X"


def draw_lines(group: Group) -> Figure | None:
    """The lines of a group, or None where no source has two targets.

    The source accuracy is a dotted line; after fine-tuning lines are dashed. Bands are 95 % intervals.
    """
    targets = group.cells.groupby("source")["target"].nunique()
    found = [int(source) for source in targets.index[targets > 1]]
    if not found:
        return None
    sources = found[:: math.ceil(len(found) / PANELS)]
    columns = min(len(sources), 3)
    rows = math.ceil(len(sources) / columns)
    styles = _styles(group)
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(WIDTH * columns + LEGEND, HEIGHT * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, source in zip(panels, sources, strict=False):
            _draw_panel(ax, group, source, styles, titled=len(sources) > 1)
        for ax in panels[len(sources) :]:
            ax.set_axis_off()
        shown = {line.get_label(): line for ax in panels for line in ax.get_lines()}
        order = [label for label in [*styles, SOURCE] if label in shown]
        figure.legend([shown[label] for label in order], order, loc="outside right center", frameon=False)
        tested, seeds = span(group.cells["n"], f"test {group.noun}"), span(group.cells["seeds"], "seed")
        heading = textwrap.wrap(group.heading, int(13 * figure.get_figwidth()))
        chosen = "" if len(sources) == len(found) else f"{len(sources)} of {len(found)} sources, "
        told = "\n".join([*heading, f"{chosen}{tested}, {seeds}; bands are 95 % intervals"])
        figure.suptitle(told, x=0.01, ha="left", fontsize=9.5, parse_math=False)
    return figure


def _styles(group: Group) -> dict[str, dict[str, Any]]:
    """Colour, marker and stroke of every label, so that lines can be told apart without colour too."""
    labels = list(dict.fromkeys(group.cells["label"]))
    colours = sns.color_palette("colorblind", len(labels))
    tuned = set(group.cells["label"][group.cells["finetune_epochs"] > 0])
    return {
        label: {"color": colour, "marker": MARKERS[place % len(MARKERS)], "linestyle": "--" if label in tuned else "-"}
        for place, (label, colour) in enumerate(zip(labels, colours, strict=True))
    }


def _draw_panel(ax: Axes, group: Group, source: int, styles: dict[str, dict[str, Any]], *, titled: bool) -> None:
    of_source = group.cells[group.cells["source"] == source]
    for label, cells in of_source.groupby("label", sort=False):
        cells = cells.sort_values("target")
        style = styles[str(label)]
        ax.plot(cells["target"], cells["accuracy_percent"], label=label, markersize=4, linewidth=1.3, **style)
        low, high = cells["accuracy_low_percent"], cells["accuracy_high_percent"]
        ax.fill_between(cells["target"], low, high, color=style["color"], alpha=0.15, linewidth=0)
    at_source = group.at_source(source)
    if at_source is not None:
        ax.axhline(at_source["accuracy_percent"], color="0.2", linewidth=1, linestyle=":", label=SOURCE)
    found = sorted(set(of_source["target"]))
    ax.set_xticks(found[:: math.ceil(len(found) / TICKS)])
    ax.set(
        xlabel=f"target resolution, {group.unit}",
        ylabel="accuracy in percent",
        title=f"from {source} {group.unit}" if titled else "",
    )
    ax.grid(axis="y", color="0.9", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
