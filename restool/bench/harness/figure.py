"""Cost against what varies: time over image size or kernel size on logarithmic axes, the floor below."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from restool.bench.harness.table import context, tick, title
from restool.report.figures import styled

PANEL_WIDTH, LEGEND, HEIGHT = 4.2, 1.4, 4.2
"""A panel, the legend beside it and the figure measure so many inches."""
LETTERS = 17
"""A line of the context has so many letters an inch."""
NAMES = {"size": "image size in pixels a side", "taps": "kernel size in taps a side"}
OF_STEPS = {"size": "sequence length in steps", "taps": "kernel size in taps"}
"""The same for sequences."""
NARROW = 30
"""An axis of times has more labels than the powers of ten where the longest is no more times the shortest."""
AUTO = "auto"
TICK_GAP = 0.11
"""Two labels of the horizontal axis are no nearer than this share of its length."""


def draw(record: dict[str, Any]) -> Figure | None:
    """Median time of every candidate, quartiles as a band, floor dashed; None where nothing varies.

    The horizontal axis is the image size if there are several, with a panel for every mask width; else the kernel size.
    Several models are no axis: there is no figure of them.

    Args:
        record: see `restool.bench.harness.record`.
    """
    rows = pd.DataFrame(record["rows"])
    axis = axis_of(record)
    if axis is None:
        return None
    panels = _panels(rows, axis)
    colors = _colors(list(dict.fromkeys(row["candidate"] for row in record["rows"])))
    with styled():
        width = PANEL_WIDTH * len(panels) + LEGEND
        figure = Figure(figsize=(width, HEIGHT), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for ax, (heading, panel) in zip(axes, panels.items(), strict=True):
            _draw_panel(ax, panel, axis, colors)
            ax.set_title(heading, fontsize=9.5)
        axes[0].set_ylabel(_quantity(record))
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        figure.suptitle(title(record), fontsize=10.5, fontweight="bold", x=0.01, ha="left")
        found = "\n".join(line for text in context(record) for line in textwrap.wrap(text, int(width * LETTERS)))
        figure.supxlabel(found, fontsize=7, color="0.4", x=0.01, ha="left")
    return figure


def axis_of(record: dict[str, Any]) -> str | None:
    """What varies over the rows: size, taps or nothing."""
    if len({row.get("model") for row in record["rows"]}) > 1:
        return None
    varying = [axis for axis in NAMES if len({row.get(axis) for row in record["rows"]}) > 1]
    return varying[0] if varying else None


def _panels(rows: pd.DataFrame, axis: str) -> dict[str, pd.DataFrame]:
    """Rows by panel title."""
    if axis == "taps":
        return {f"{rows['size'].iloc[0]} {_unit(rows)}": rows}
    if "sigma" not in rows:
        return {"": rows}
    return {f"sigma {sigma}": panel for sigma, panel in rows.groupby("sigma", sort=False)}


def _unit(rows: pd.DataFrame) -> str:
    return str(rows["unit"].iloc[0]) if "unit" in rows else "px"


def _quantity(record: dict[str, Any]) -> str:
    of = {"layer": "a call", "step": "a step", "eval": "a batch", "data": "an epoch"}[record["kind"]]
    return f"time of {of}"


def _colors(names: Sequence[str]) -> dict[str, Any]:
    """The baseline, which is first, in black."""
    return dict(zip(names, [(0.0, 0.0, 0.0), *sns.color_palette("colorblind", len(names) - 1)], strict=True))


def _draw_panel(ax: Axes, rows: pd.DataFrame, axis: str, colors: dict[str, Any]) -> None:
    rows = rows.sort_values(axis, kind="stable")
    for name, color in colors.items():
        line = rows[rows["candidate"] == name]
        # `auto` is as fast as the method that it chose, so its line is wide and shows below that one
        style: dict[str, Any] = {"linewidth": 5, "alpha": 0.4, "zorder": 1} if name == AUTO else {"linewidth": 1.6}
        ax.plot(line[axis], line["median"], "o-", color=color, label=name, markersize=3.5, **style)
        ax.fill_between(line[axis].astype(float), line["low"], line["high"], color=color, alpha=0.2, linewidth=0)
    if "floor" in rows:
        floor = rows.drop_duplicates(axis)
        ax.plot(floor[axis], floor["floor"], "--", color="0.5", label="floor", linewidth=1.4)
    ax.set(xscale="log", yscale="log", xlabel=(NAMES if _unit(rows) == "px" else OF_STEPS)[axis])
    ax.xaxis.set_major_locator(FixedLocator(_ticks(sorted(rows[axis].unique()))))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    shown = rows[[name for name in ("low", "high", "floor") if name in rows]].to_numpy()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if shown.max() < NARROW * shown.min() else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
    sns.despine(ax=ax)


def _ticks(values: Sequence[float]) -> list[float]:
    """The values that have room for a label."""
    span = math.log(values[-1] / values[0])
    kept = [values[0]]
    for value in values[1:]:
        if span and math.log(value / kept[-1]) >= TICK_GAP * span:
            kept.append(value)
    return kept
