"""Parts that the figures of kernels of images and of sequences share."""

import numpy as np
from matplotlib.axes import Axes

from restool.report.figures import label_powers
from restool.report.portrait import Portrait

ROW = 1.15
"""Height of a row, inches."""


def draw_energy(
    ax: Axes, portrait: Portrait, source: int, target: int, unit: str, *, named: bool, least: float
) -> None:
    """The share of the energy above every frequency down to `least`, and both Nyquist frequencies, `named` by sizes."""
    ax.plot(portrait.frequencies, np.maximum(portrait.above, least / 2), color="C0")
    for size, stroke in ((source, "-"), (target, "--")):
        ax.axvline(size / 4, color="0.4", linewidth=0.9, linestyle=stroke)
        if named:
            ax.text(size / 4, 1.6, f"{size} {unit}", fontsize=7, ha="center", va="bottom")
    if portrait.bound is not None:
        ax.text(0.98, 0.95, f"bound {portrait.bound:.0f}", transform=ax.transAxes, fontsize=7, ha="right", va="top")
    ax.set(yscale="log", ylim=(least, 1.3), xlim=(0, portrait.frequencies[-1]))
    label_powers(ax.yaxis)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)


def draw_sizes(ax: Axes, portraits: list[Portrait]) -> None:
    """What the taps of every layer cover along every axis."""
    names = ("length",) if portraits[0].causal else ("height", "width")
    for axis, (name, marker) in enumerate(zip(names, "os", strict=False)):
        ax.plot([portrait.covered[axis] for portrait in portraits], marker=marker, markersize=4, label=name)
    ax.set_xticks(
        range(len(portraits)), [portrait.layer for portrait in portraits], rotation=30, ha="right", fontsize=7
    )
    ax.set(ylabel="size, units", ylim=(0, None))
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
