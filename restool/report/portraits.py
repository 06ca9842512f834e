"""Learned kernels from shallow to deep (the FlexConv poster's Figure 7): what they look like, and what of them aliases.

Lengths are in units of half an image side, frequencies in cycles per unit: n pixels carry up to n / 4.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from restool.files import write_files
from restool.report.figures import STYLE, as_files
from restool.report.tables import csv

ROW, PICTURE, PLOT = 1.15, 1.1, 2.9
"""Height of a row, and widths of a picture and of a plot, inches."""
LEAST = 1e-4
"""Shares of energy are shown down to this one."""


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """One layer.

    Attributes:
        layer: its name.
        pictures: [P, G, G], the channel pairs of most energy on a fine grid over [-1, 1], mask included.
        covered: length along (y, x) of what the taps at the source cover.
        taps: of the source along (y, x).
        frequencies: [F], ascending from 0.
        above: [F], share of the energy of all kernels of the layer above each frequency along some axis.
        bound: the highest frequency that the network can reach, or None where it is not known.
    """

    layer: str
    pictures: np.ndarray
    covered: tuple[float, float]
    taps: tuple[int, int]
    frequencies: np.ndarray
    above: np.ndarray
    bound: float | None

    def as_plain(self) -> dict[str, Any]:
        """As JSON has it, pictures in half precision; `from_plain` reads it."""
        pictures = np.ascontiguousarray(self.pictures, dtype="<f2")
        return {
            "layer": self.layer,
            "shape": list(pictures.shape),
            "pictures": base64.b64encode(pictures.tobytes()).decode(),
            "covered": list(self.covered),
            "taps": list(self.taps),
            "frequencies": [round(float(value), 6) for value in self.frequencies],
            "above": [round(float(value), 8) for value in self.above],
            "bound": self.bound,
        }

    @classmethod
    def from_plain(cls, found: Mapping[str, Any]) -> "Portrait":
        """What `as_plain` gave.

        Raises:
            ValueError: not base64, or not as many pixels as the shape says.
        """
        pixels = np.frombuffer(base64.b64decode(found["pictures"], validate=True), dtype="<f2")
        return cls(
            layer=found["layer"],
            pictures=pixels.reshape(found["shape"]).astype(float),
            covered=tuple(found["covered"]),
            taps=tuple(found["taps"]),
            frequencies=np.array(found["frequencies"]),
            above=np.array(found["above"]),
            bound=found["bound"],
        )

    def share_above(self, pixels: int) -> float:
        """The share above the Nyquist frequency of so many pixels."""
        return float(np.interp(pixels / 4, self.frequencies, self.above))


def table(portraits: list[Portrait], source: int, target: int) -> pd.DataFrame:
    """A row per layer: taps and length along the longest axis, energy above both Nyquist frequencies, and the bound."""
    return pd.DataFrame(
        {
            "layer": portrait.layer,
            "taps": max(portrait.taps),
            "covered": max(portrait.covered),
            "above_source_nyquist": portrait.share_above(source),
            "above_target_nyquist": portrait.share_above(target),
            "bound": portrait.bound,
        }
        for portrait in portraits
    )


def write_portraits(out: Path, portraits: list[Portrait], source: int, target: int) -> tuple[list[Path], pd.DataFrame]:
    """Write `kernels.png`, `kernels.pdf` and `kernels.csv` (see `table`).

    Returns:
        The files, and the table.
    """
    rows = table(portraits, source, target)
    figure = draw(portraits, source, target)
    files = as_files("kernels", figure) | {"kernels.csv": csv(rows).encode()}
    return write_files(out, files), rows


def draw(portraits: list[Portrait], source: int, target: int) -> Figure:
    """A row per layer, the shallowest first: kernels with the area of their taps, and their energy by frequency."""
    pictures = len(portraits[0].pictures)
    columns = [PICTURE] * pictures + [PLOT]
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(sum(columns) + 1, ROW * len(portraits) + 1.9), layout="constrained")
        grid = figure.add_gridspec(len(portraits) + 1, pictures + 1, width_ratios=columns)
        for row, portrait in enumerate(portraits):
            for column, picture in enumerate(portrait.pictures):
                ax = figure.add_subplot(grid[row, column])
                _draw_picture(ax, picture, portrait.covered)
                if column == 0:
                    ax.set_ylabel(portrait.layer, rotation=0, ha="right", va="center")
            ax = figure.add_subplot(grid[row, pictures])
            _draw_energy(ax, portrait, source, target, named=row == 0)
            if row == len(portraits) - 1:
                ax.set_xlabel("frequency f, cycles per unit")
        _draw_sizes(figure.add_subplot(grid[len(portraits), :]), portraits)
        figure.suptitle(
            "Kernels of most energy, in dots the area of their taps.\n"
            "Right: share of a layer's energy above f; upright lines are Nyquist frequencies",
            fontsize=10,
        )
    return figure


def _draw_picture(ax: Axes, picture: np.ndarray, covered: tuple[float, float]) -> None:
    largest = np.abs(picture).max()
    ax.imshow(picture, cmap="RdBu", vmin=-largest, vmax=largest, extent=(-1, 1, 1, -1))
    height, width = covered
    ax.add_patch(Rectangle((-width / 2, -height / 2), width, height, fill=False, edgecolor="0.2", linestyle=":"))
    ax.set(xticks=[], yticks=[], xlim=(-1, 1), ylim=(1, -1))


def _draw_energy(ax: Axes, portrait: Portrait, source: int, target: int, *, named: bool) -> None:
    ax.plot(portrait.frequencies, np.maximum(portrait.above, LEAST / 2), color="C0")
    for pixels, stroke in ((source, "-"), (target, "--")):
        ax.axvline(pixels / 4, color="0.4", linewidth=0.9, linestyle=stroke)
        if named:
            ax.text(pixels / 4, 1.6, f"{pixels} px", fontsize=7, ha="center", va="bottom")
    if portrait.bound is not None:
        ax.text(0.98, 0.95, f"bound {portrait.bound:.0f}", transform=ax.transAxes, fontsize=7, ha="right", va="top")
    ax.set(yscale="log", ylim=(LEAST, 1.3), xlim=(0, portrait.frequencies[-1]))
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_sizes(ax: Axes, portraits: list[Portrait]) -> None:
    for axis, (name, marker) in enumerate((("height", "o"), ("width", "s"))):
        ax.plot([portrait.covered[axis] for portrait in portraits], marker=marker, markersize=4, label=name)
    ax.set_xticks(
        range(len(portraits)), [portrait.layer for portrait in portraits], rotation=30, ha="right", fontsize=7
    )
    ax.set(ylabel="size, units", ylim=(0, None))
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
