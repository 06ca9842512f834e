"""Accuracy against what an image costs: at which resolution a model is best used."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restool.report.figures import styled
from restool.report.groups import Group, span, thinned
from restool.report.lines import HEIGHT, LEGEND, SOURCE, WIDTH, line_styles, set_counts
from restool.report.measures import ACCURACY, FLOPS, SPEED, Measure

COSTS = (FLOPS, SPEED)
"""A column of panels for each."""
ROWS = 4
"""More sources than that are thinned out."""
LABEL, LETTER, OFFSET = 7, 5.5, 4
"""Points: the height of a label, the width of one of its letters, and how far it is from its point."""

Place = tuple[float, float, int]
"""Cost and accuracy of a point, and its target size."""


def draw_cost(group: Group) -> Figure | None:
    """A line for every protocol over its targets, a row of panels for every source; None where no target has FLOPs.

    Points bear their sizes where there is room, a few of many sizes. The source itself is a star.

    Args:
        group: of `restool.report.measure_frame.with_values` for `COSTS`.
    """
    known = group.cells[FLOPS.columns[0]].notna()
    found = sorted(set(group.cells["source"][known]))
    if not found:
        return None
    sources = found[:: math.ceil(len(found) / ROWS)]
    costs = [cost for cost in COSTS if group.cells[cost.columns[0]].notna().any()]
    styles = line_styles(group)
    with styled():
        figure = Figure(figsize=(1.2 * WIDTH * len(costs) + LEGEND, HEIGHT * len(sources)), layout="constrained")
        panels = figure.subplots(len(sources), len(costs), squeeze=False)
        places = []
        for of_source, source in zip(panels, sources, strict=True):
            for ax, cost in zip(of_source, costs, strict=True):
                places.append(_draw_panel(ax, group, source, cost, styles))
                ax.set_title(f"from {source} {group.unit}" if len(found) > 1 else "")
        shown = {line.get_label(): line for ax in panels.flat for line in ax.get_lines()}
        order = [label for label in [*styles, SOURCE] if label in shown]
        figure.legend([shown[label] for label in order], order, loc="outside right center", frameon=False)
        chosen = "" if len(sources) == len(found) else f"{len(sources)} of {len(found)} sources, "
        heading = textwrap.wrap(group.heading, int(13 * figure.get_figwidth()))
        told = "\n".join([*heading, f"{chosen}{_tested(group)}"])
        figure.suptitle(told, x=0.01, ha="left", fontsize=9.5, parse_math=False)
        figure.draw_without_rendering()  # the panels have their places from now on
        for ax, points in zip(panels.flat, places, strict=True):
            _label(ax, points, thinned(group.targets))
    return figure


def _tested(group: Group) -> str:
    tested, seeds = span(group.cells["n"], f"test {group.noun}"), span(group.cells["seeds"], "seed")
    return f"{tested}, {seeds}; numbers at points are target sizes in {group.unit}"


def _draw_panel(ax: Axes, group: Group, source: int, cost: Measure, styles: dict[str, dict[str, Any]]) -> list[Place]:
    """Draw the lines of a source, and give back their points."""
    value, accuracy = cost.columns[0], ACCURACY.columns[0]
    cells = group.cells[group.cells["source"] == source].dropna(subset=value)
    for label, of_label in cells.groupby("label", sort=False):
        line = of_label.sort_values("target")
        ax.plot(line[value], line[accuracy], label=label, markersize=4, linewidth=1.3, **styles[str(label)])
    at_source = group.at_source(source)
    if at_source is not None and not math.isnan(at_source[value]):
        ax.plot(at_source[value], at_source[accuracy], "*", color="0.2", markersize=9, label=SOURCE, linestyle="none")
    ax.margins(x=0.12, y=0.12)
    set_counts(ax, "x")
    ax.set(xlabel=f"{cost.label(group.noun)} ({cost.direction})", ylabel=ACCURACY.label(group.noun))
    ax.grid(color="0.9", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    return [(row[value], row[accuracy], row["target"]) for row in cells.to_dict("records")]


def _label(ax: Axes, places: Sequence[Place], sizes: Sequence[int]) -> None:
    """Write the size, if it is one of these, above every point, or else below it, if there is room; highest first."""
    marked = [(at, ax.transData.transform(at[:2]) * 72 / ax.figure.dpi) for at in sorted(places, key=lambda at: -at[1])]
    taken = [(x, y, LABEL / 2, LABEL / 2) for _, (x, y) in marked]
    for (x, y, size), (left, bottom) in [mark for mark in marked if mark[0][2] in sizes]:
        box = LETTER * len(str(size)), LABEL + 1.0
        for shift in (OFFSET + LABEL / 2, -OFFSET - LABEL / 2):
            if any(
                abs(left - at) < (box[0] + wide) / 2 and abs(bottom + shift - height) < (box[1] + high) / 2
                for at, height, wide, high in taken
            ):
                continue
            taken.append((left, bottom + shift, *box))
            text = ax.annotate(
                str(size), (x, y), (0, shift), textcoords="offset points", ha="center", va="center", fontsize=LABEL
            )
            text.set_in_layout(False)
            break


def cost_rows(group: Group) -> list[list[str]]:
    """What the figure shows under a header, a row per cell and source with FLOPs; blank where a cost is not known."""
    accuracy = ACCURACY.columns[0]
    table = [["source", "protocol", "target", ACCURACY.unit, *(cost.label(group.noun) for cost in COSTS)]]
    shown = pd.concat([group.sources, group.cells]).dropna(subset=FLOPS.columns[0])
    for row in shown.to_dict("records"):
        values = [row[cost.columns[0]] for cost in COSTS]
        costs = ["" if math.isnan(value) else cost.told(value) for cost, value in zip(COSTS, values, strict=True)]
        place = [f"{row['source']} {group.unit}", row["label"], f"{row['target']} {group.unit}"]
        table.append([*place, ACCURACY.told(row[accuracy]), *costs])
    return table
