"""Learned kernels of a model of sequences from shallow to deep: against time, between the steps, and by frequency."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restool.report.figures import styled
from restool.report.portrait import Portrait
from restool.report.portrait_axes import ROW, draw_energy, draw_sizes

WIDTHS = (3.0, 2.6, 2.9)
"""Of the three panels of a row, inches."""
NEWEST = 8
"""The middle panel shows so many steps of the source."""
PADDED = 4
"""Spectra are over so many times the samples."""
LEAST = 1e-6
"""Shares of energy, and of the peak of a spectrum, are shown down to this one."""
TINY = np.finfo(float).tiny
"""A kernel that is 0 in the half precision of a file has no peak."""
FAINT = (0.55, 0.3)
"""Opacity of the second and third kernel."""


def draw_causal(portraits: list[Portrait], source: int, target: int) -> Figure:
    """A row per layer: its kernels against the lag, the strongest at its newest lags, and their energy by frequency."""
    with styled():
        figure = Figure(figsize=(sum(WIDTHS) + 1, (ROW + 0.25) * len(portraits) + 2.4), layout="constrained")
        grid = figure.add_gridspec(len(portraits) + 1, len(WIDTHS), width_ratios=WIDTHS)
        for row, portrait in enumerate(portraits):
            first = row == 0
            axes = [figure.add_subplot(grid[row, column]) for column in range(len(WIDTHS))]
            _draw_kernels(axes[0], portrait, source)
            _draw_newest(axes[1], portrait, source, target, named=first)
            axes[2].plot(*spectrum(portrait), color="C1", linewidth=0.7)
            draw_energy(axes[2], portrait, source, target, "steps", named=first, least=LEAST)
            axes[0].set_ylabel(portrait.layer, rotation=0, ha="right", va="center")
            if row == len(portraits) - 1:
                axes[0].set_xlabel(f"lag, steps of {source}")
                axes[1].set_xlabel(f"lag, steps of {source}")
                axes[2].set_xlabel("frequency f, cycles per unit")
        draw_sizes(figure.add_subplot(grid[len(portraits), :]), portraits)
        figure.suptitle(
            "Kernels of most energy against the lag, dotted the end of their taps; the strongest at its newest lags.\n"
            "Right: share of a layer's energy above f (blue), and power of the strongest at f over its peak (orange);\n"
            "upright lines are Nyquist frequencies",
            fontsize=10,
        )
    return figure


def lags(portrait: Portrait) -> np.ndarray:
    """Of the samples of a picture, in units: [G], 0 last."""
    return portrait.spacing * np.arange(portrait.pictures.shape[1] - 1, -1, -1)


def spectrum(portrait: Portrait) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and the highest power near each over the peak, of the strongest kernel as far as its taps reach."""
    kept = portrait.pictures[0] * (lags(portrait) < portrait.covered[0])
    points, bands = PADDED * len(kept), np.arange(len(portrait.frequencies))
    power = np.abs(np.fft.rfft(kept, points)) ** 2
    nearest = np.rint(np.interp(np.fft.rfftfreq(points, portrait.spacing), portrait.frequencies, bands)).astype(int)
    highest = np.zeros(len(bands))
    np.maximum.at(highest, nearest, power)
    return portrait.frequencies, np.maximum(highest / max(power.max(), TINY), LEAST / 2)


def _draw_kernels(ax: Axes, portrait: Portrait, source: int) -> None:
    """All kernels, to a little beyond their last tap."""
    steps, end = lags(portrait) * source / 2, portrait.taps[0]
    for kernel, opacity in zip(portrait.pictures, (1.0, *FAINT), strict=False):
        ax.plot(steps, kernel, color="C0", linewidth=0.9, alpha=opacity)
    ax.axvline(end, color="0.2", linewidth=0.9, linestyle=":")
    ax.set_xlim(0, min(1.3 * end, steps[0]) if end < steps[0] else 1.02 * end)
    _plain(ax)


def _draw_newest(ax: Axes, portrait: Portrait, source: int, target: int, *, named: bool) -> None:
    """The kernel of most energy, and the lags at which both grids sample it."""
    steps, kernel = lags(portrait)[::-1] * source / 2, portrait.pictures[0][::-1]
    shown = min(NEWEST, portrait.taps[0])
    near = steps <= shown
    ax.plot(steps[near], kernel[near], color="C0", linewidth=0.9)
    for size, marker, colour, width in ((source, "o", "C0", 3.5), (target, "x", "C3", 4.5)):
        at = np.arange(0, shown + 1e-9, source / size)
        ax.plot(at, np.interp(at, steps, kernel), marker, color=colour, markersize=width, label=f"lags of {size} steps")
    ax.set_xlim(-0.3, shown + 0.3)
    if named:
        ax.legend(frameon=False, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0)
    _plain(ax)


def _plain(ax: Axes) -> None:
    ax.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
