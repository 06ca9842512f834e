"""Learned kernels from shallow to deep (the FlexConv poster's Figure 7): how they look, and what of them aliases."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from restool.files import write_files
from restool.report.causal_portraits import draw_causal
from restool.report.figures import as_files, styled
from restool.report.portrait import Portrait, table
from restool.report.portrait_axes import ROW, draw_energy, draw_sizes
from restool.report.tables import csv

PICTURE, PLOT = 1.1, 2.9
"""Widths of a picture and of a plot, inches."""
LEAST = 1e-4
"""Shares of energy are shown down to this one."""


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
    """A row per layer, the shallowest first: kernels with the extent of their taps, and their energy by frequency."""
    return draw_causal(portraits, source, target) if portraits[0].causal else _draw_images(portraits, source, target)


def _draw_images(portraits: list[Portrait], source: int, target: int) -> Figure:
    pictures = len(portraits[0].pictures)
    columns = [PICTURE] * pictures + [PLOT]
    with styled():
        figure = Figure(figsize=(sum(columns) + 1, ROW * len(portraits) + 1.9), layout="constrained")
        grid = figure.add_gridspec(len(portraits) + 1, pictures + 1, width_ratios=columns)
        for row, portrait in enumerate(portraits):
            for column, picture in enumerate(portrait.pictures):
                ax = figure.add_subplot(grid[row, column])
                _draw_picture(ax, picture, portrait.covered)
                if column == 0:
                    ax.set_ylabel(portrait.layer, rotation=0, ha="right", va="center")
            ax = figure.add_subplot(grid[row, pictures])
            draw_energy(ax, portrait, source, target, "px", named=row == 0, least=LEAST)
            if row == len(portraits) - 1:
                ax.set_xlabel("frequency f, cycles per unit")
        draw_sizes(figure.add_subplot(grid[len(portraits), :]), portraits)
        figure.suptitle(
            "Kernels of most energy, in dots the area of their taps.\n"
            "Right: share of a layer's energy above f; upright lines are Nyquist frequencies",
            fontsize=10,
        )
    return figure


def _draw_picture(ax: Axes, picture: np.ndarray, covered: tuple[float, ...]) -> None:
    largest = np.abs(picture).max()
    ax.imshow(picture, cmap="RdBu", vmin=-largest, vmax=largest, extent=(-1, 1, 1, -1))
    height, width = covered
    ax.add_patch(Rectangle((-width / 2, -height / 2), width, height, fill=False, edgecolor="0.2", linestyle=":"))
    ax.set(xticks=[], yticks=[], xlim=(-1, 1), ylim=(1, -1))
