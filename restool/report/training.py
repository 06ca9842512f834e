"""How trainings went: loss and accuracy by epoch, from the histories of checkpoints."""

from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from restool.files import write_files
from restool.report.figures import as_files, label_powers, styled
from restool.report.tables import csv

Histories = dict[str, list[dict[str, float]]]
"""Of every training, by its name: the figures of its epochs, accuracies as fractions."""


def table(histories: Histories) -> pd.DataFrame:
    """A row per training and epoch: loss, the penalty in it, and accuracies in percent, where they were measured."""
    rows: list[dict[str, Any]] = []
    for name, history in histories.items():
        for epoch, figures in enumerate(history, start=1):
            row: dict[str, Any] = {"training": name, "epoch": epoch}
            row |= {key: figures.get(key) for key in ("loss", "penalty")}
            for key in ("accuracy", "validation_accuracy"):
                row[f"{key}_percent"] = None if figures.get(key) is None else 100 * figures[key]
            rows.append(row)
    return pd.DataFrame(rows)


def write_training(out: Path, histories: Histories) -> tuple[list[Path], pd.DataFrame]:
    """Write `training.png`, `training.pdf` and `training.csv` (see `table`).

    Returns:
        The files, and the table.
    """
    rows = table(histories)
    figure = draw(histories, rows)
    files = as_files("training", figure) | {"training.csv": csv(rows).encode()}
    return write_files(out, files), rows


def draw(histories: Histories, rows: pd.DataFrame) -> Figure:
    """Loss, and accuracy: solid on validation images, dotted on the augmented training images."""
    colours = dict(zip(histories, sns.color_palette("colorblind", len(histories)), strict=True))
    with styled():
        figure = Figure(figsize=(8.5, 3.2), layout="constrained")
        loss, accuracy = figure.subplots(1, 2)
        for name, of_training in rows.groupby("training", sort=False):
            colour = colours[str(name)]
            epochs = of_training["epoch"]
            loss.plot(epochs, of_training["loss"], color=colour, label=name)
            accuracy.plot(epochs, of_training["validation_accuracy_percent"].astype(float), color=colour)
            accuracy.plot(epochs, of_training["accuracy_percent"].astype(float), color=colour, linestyle=":")
        loss.set(xlabel="epoch", ylabel="loss, penalty included", yscale="log")
        label_powers(loss.yaxis)
        accuracy.set(xlabel="epoch", ylabel="accuracy in percent", title="solid: validation, dotted: training")
        for ax in (loss, accuracy):
            ax.grid(axis="y", color="0.9", linewidth=0.6)
            ax.spines[["top", "right"]].set_visible(False)
            ax.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(loc="outside lower center", frameon=False, ncols=1, fontsize=8)
    return figure
