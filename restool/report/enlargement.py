"""Figure 3 of the FlexConv poster: one kernel at three times its size, enlarged in three ways, and what each passes.

Lengths are in pixels of the source grid, frequencies in cycles per source pixel: the source grid carries up to 1/2, the
target grid, whose pixels are a third as large, up to 3/2.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from restool.files import write_files
from restool.report.figures import as_files, styled
from restool.report.tables import csv

TAPS = 11
"""The kernel has so many taps along each axis of the source grid, whose image has as many pixels."""
RATIO = 3
"""The target grid has so many pixels for one of the source grid."""
NYQUIST = 0.5

STEP = 1 / 40
FREQUENCIES = (np.arange(RATIO / STEP) + 0.5) * STEP - NYQUIST * RATIO
"""Responses are computed at these frequencies along each axis, in cycles per source pixel.

They are the middles of equal steps over the band of the target grid.
"""
DECIBELS = (-50, 0)
"""Responses are shown between these levels."""

TITLES = {
    "continuous": "The kernel and its taps\non the source grid",
    "dilation": "Dilation: Gaussian taps\nmove apart and widen",
    "deformation": "Deformation: taps\nmove apart",
    "requery": "Re-query: the kernel\non the finer grid",
}
"""The titles of the columns; `continuous` is the kernel that the others stand for."""


@dataclass(frozen=True)
class SampledKernel:
    """A discrete kernel in the unit of the source grid: `taps` [K, K], K odd, `spacing` pixels apart."""

    taps: np.ndarray
    spacing: float

    @property
    def response(self) -> np.ndarray:
        """K^(f_y, f_x) = sum_k K[k] exp(-2 pi i f . k spacing) over `FREQUENCIES`, complex [F, F]."""
        reach = len(self.taps) // 2
        positions = self.spacing * np.arange(-reach, reach + 1)
        waves = np.exp(-2j * np.pi * np.outer(FREQUENCIES, positions))
        return waves @ self.taps @ waves.T


def measure(kernels: dict[str, SampledKernel]) -> pd.DataFrame:
    """What each kernel passes, over the band of the target grid; in band means |f_y|, |f_x| up to 1/2.

    Returns:
        One row per kernel: `in_band_energy` over that of the continuous kernel, `above_share` of its own energy that
        lies out of band, `response_error` = |K^ - C^| / |C^| with C^ the response of the continuous kernel and |.| the
        root of the energy.
    """
    inside = np.abs(FREQUENCIES) <= NYQUIST
    in_band = np.outer(inside, inside)
    reference = kernels["continuous"].response
    rows = []
    for name, kernel in kernels.items():
        energy = np.abs(kernel.response) ** 2
        rows.append(
            {
                "kernel": name,
                "in_band_energy": energy[in_band].sum() / (np.abs(reference[in_band]) ** 2).sum(),
                "above_share": energy[~in_band].sum() / energy.sum(),
                "response_error": np.linalg.norm(kernel.response - reference) / np.linalg.norm(reference),
            }
        )
    return pd.DataFrame(rows)


def profile(kernels: dict[str, SampledKernel]) -> pd.DataFrame:
    """Root mean square response over rings of |f|, over the highest of the continuous kernel.

    Returns:
        `frequency`, the middle of a ring, up to the Nyquist frequency of the target grid, and a column per kernel.
    """
    ring = (np.hypot(FREQUENCIES[:, None], FREQUENCIES) / STEP).astype(int).ravel()
    kept = len(FREQUENCIES) // 2
    count = np.bincount(ring)[:kept]
    curves = {
        name: np.sqrt(np.bincount(ring, (np.abs(kernel.response) ** 2).ravel())[:kept] / count)
        for name, kernel in kernels.items()
    }
    highest = curves["continuous"].max()
    return pd.DataFrame(
        {"frequency": STEP * (np.arange(kept) + 0.5)} | {name: c / highest for name, c in curves.items()}
    )


def write_figure(out: Path, kernels: dict[str, SampledKernel]) -> tuple[list[Path], pd.DataFrame]:
    """Write `kernel.png`, `kernel.pdf`, `kernel.csv` (see `measure`) and `kernel-response.csv` (see `profile`).

    Returns:
        The files, and the table of `kernel.csv`.
    """
    table, curves = measure(kernels), profile(kernels)
    figure = draw(kernels, table, curves)
    tables = {"kernel.csv": csv(table).encode(), "kernel-response.csv": csv(curves).encode()}
    return write_files(out, as_files("kernel", figure) | tables), table


def draw(kernels: dict[str, SampledKernel], table: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """A column per kernel, its taps above the size of its response; below all, their responses by frequency."""
    layout: list[Any] = [[f"{row} {name}" for name in kernels] for row in ("taps", "response")]
    layout.append(["profile"] * len(kernels))
    errors = table.set_index("kernel")["response_error"]
    peak = np.abs(kernels["continuous"].response).max()
    with styled():
        figure = Figure(figsize=(9.5, 7.6), layout="constrained")
        axes = figure.subplot_mosaic(layout, height_ratios=[1, 1, 0.9])
        for name, kernel in kernels.items():
            _draw_taps(axes[f"taps {name}"], kernel, TITLES[name])
            image = _draw_response(axes[f"response {name}"], np.abs(kernel.response) / peak)
            if name != "continuous":
                axes[f"response {name}"].set_xlabel(f"error {100 * errors[name]:.0f} %")
        _draw_source_grid(axes["taps continuous"])
        axes["taps continuous"].set_ylabel("source pixels")
        axes["response continuous"].set_ylabel("cycles per source pixel")
        figure.colorbar(image, ax=[axes[name] for name in layout[1]], label="response, dB", pad=0.01)
        _draw_profile(axes["profile"], curves)
    return figure


def _draw_taps(ax: Axes, kernel: SampledKernel, title: str) -> None:
    edge, largest = len(kernel.taps) * kernel.spacing / 2, np.abs(kernel.taps).max()
    ax.imshow(kernel.taps, cmap="RdBu", vmin=-largest, vmax=largest, extent=(-edge, edge, edge, -edge))
    ax.set_facecolor(matplotlib.colormaps["RdBu"](0.5))
    ax.set(xlim=(-TAPS / 2, TAPS / 2), ylim=(TAPS / 2, -TAPS / 2), title=title)


def _draw_source_grid(ax: Axes) -> None:
    grid = np.arange(TAPS) - TAPS // 2
    ax.scatter(*np.meshgrid(grid, grid), s=1.5, color="0.4", linewidths=0)


def _draw_response(ax: Axes, response: np.ndarray) -> AxesImage:
    (low, high), edge = DECIBELS, NYQUIST * RATIO
    image = ax.imshow(_decibels(response), vmin=low, vmax=high, extent=(-edge, edge, edge, -edge), cmap="magma")
    band = Rectangle((-NYQUIST, -NYQUIST), 2 * NYQUIST, 2 * NYQUIST, fill=False, edgecolor="white", linestyle=":")
    ax.add_patch(band)
    return image


def _draw_profile(ax: Axes, curves: pd.DataFrame) -> None:
    reference: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 2.5, "zorder": 3}
    for name in TITLES:
        style = reference if name == "continuous" else {"linewidth": 1.5}
        ax.plot(curves["frequency"], _decibels(curves[name].to_numpy()), label=name, **style)
    ax.axvline(NYQUIST, color="0.6", linewidth=1)
    ax.text(NYQUIST, DECIBELS[1], " Nyquist frequency of the source grid", va="top", color="0.4")
    ax.set(xlim=(0, NYQUIST * RATIO), ylim=(DECIBELS[0], DECIBELS[1] + 3))
    ax.set(xlabel="frequency, cycles per source pixel", ylabel="response, dB")
    ax.legend(loc="lower left", frameon=False)


def _decibels(response: np.ndarray) -> np.ndarray:
    """20 log10 of a response, no lower than the scale shows."""
    return 20 * np.log10(np.maximum(response, 10 ** (DECIBELS[0] / 20)))
