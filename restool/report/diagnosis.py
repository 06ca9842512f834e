"""Diagnoses in a results folder: read, as tables and as a figure.

A diagnosis is one JSON file, `diagnoses/CHECKPOINT-to-SIZEpx.json` (or `steps`): what `restool.diagnosis.as_plain`
gives, the settings of the model, and its kernels (see `restool.report.portrait`).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restool.errors import UsageError
from restool.evidence.spelling import names
from restool.files import write_files
from restool.report.figures import as_files, styled
from restool.report.groups import points, told_settings, unit_of
from restool.report.portrait import Portrait

DIAGNOSIS_FORMAT = 1
Diagnosed = dict[str, Any]
"""A diagnosis as JSON has it."""


def write_diagnosis(out: Path, found: Diagnosed, kernels: list[Portrait]) -> list[Path]:
    """Write a diagnosis with its figure as PNG and PDF.

    Args:
        out: results folder.
        found: as `restool.diagnosis.as_plain` gives it, with `checkpoint`, `dataset`, `limit` and `settings`.
        kernels: of the model, or none.
    """
    name = f"{Path(found['checkpoint']).stem}-to-{found['target']}{unit_of(found)}"
    whole = {"format": DIAGNOSIS_FORMAT, **found, "kernels": [portrait.as_plain() for portrait in kernels]}
    files = {f"{name}.json": (json.dumps(whole, indent=1) + "\n").encode()} | as_files(name, draw(found))
    return write_files(out / "diagnoses", files)


def read_diagnoses(out: Path) -> list[Diagnosed]:
    """All diagnoses of a folder, in the order of their names, their kernels as portraits.

    Raises:
        UsageError: one is damaged.
    """
    return [_read(path) for path in sorted((out / "diagnoses").glob("*.json"))]


def _read(path: Path) -> Diagnosed:
    try:
        found = json.loads(path.read_text("utf-8"))
        readable = found["format"] == DIAGNOSIS_FORMAT
        if readable:
            for part in (heading, causes, layers, norms):
                part(found)
            _ = [found[name] for name in ("verdict", "difference_points", "checkpoint", "dataset", "limit")]
            found["kernels"] = [Portrait.from_plain(kernel) for kernel in found["kernels"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: delete it and diagnose the checkpoint again") from error
    if not readable:
        raise UsageError(f"{path} is of another version of restool: delete it and diagnose the checkpoint again")
    return found


def heading(found: Diagnosed) -> str:
    """Which model was diagnosed, and between which sizes."""
    seed = found["settings"].get("seed")
    told = [f"{found['model']} from {found['source']} to {found['target']} {unit_of(found)}"]
    told += [] if seed is None else [f"seed {seed}"]
    return ", ".join([*told, *told_settings(found["settings"])])


def causes(found: Diagnosed) -> list[list[str]]:
    """Header and a row for every way in which the model was used; one column of words."""
    table = [["used as", "accuracy", "gain, points"], ["at the source", _one(found["source_accuracy_percent"]), ""]]
    table.append([f"{found['protocol']} at {found['target']} {unit_of(found)}", _one(found["accuracy_percent"]), ""])
    for repair in found["repairs"]:
        value, low, high = (repair[name] for name in names("gain", "points"))
        real = "" if repair["significant"] else " n.s."
        gain = f"{points(value)} ± {(high - low) / 2:.1f}{real}"
        table.append([f"{repair['cause']} repaired", _one(repair["accuracy_percent"]), gain])
    table.append(["resize to the source", _one(found["resize_accuracy_percent"]), ""])
    return table


def layers(found: Diagnosed) -> list[list[str]]:
    """Header and a row for every layer that convolves; one column of words, and only the header without any."""
    table = [["layer", "taps", "above Nyquist", "bound / Nyquist", "change of sum", "of that by crop", "response"]]
    for layer in found["layers"]:
        taps = "" if layer["source_taps"] is None else f"{layer['source_taps']} -> {layer['target_taps']}"
        bound = "" if layer["bound"] is None else _one(layer["bound"])
        shares = [_percent(layer[name]) for name in ("sum_change", "sum_change_by_crop", "response")]
        table.append([layer["layer"], taps, _percent(layer["above_nyquist"]), bound, *shares])
    return table


def norms(found: Diagnosed) -> list[list[str]]:
    """Header and a row for every batch norm; one column of words, and only the header without any."""
    rows = [[norm["layer"], f"{norm['shift']:.2f}", f"{norm['spread']:.2f}"] for norm in found["norms"]]
    return [["batch norm", "shift", "spread"], *rows]


def draw(found: Diagnosed) -> Figure:
    """What every repair gives back beside the loss, and how far every layer's response is from that at the source."""
    compared = [layer for layer in found["layers"] if layer["response"] is not None]
    with styled():
        figure = Figure(figsize=(8.5, 3.4), layout="constrained")
        panels = figure.subplots(1, 2 if compared else 1, squeeze=False)[0]
        _draw_gains(panels[0], found)
        if compared:
            _draw_responses(panels[1], compared)
        figure.suptitle(heading(found), fontsize=9)
    return figure


def _draw_gains(ax: Axes, found: Diagnosed) -> None:
    for place, repair in enumerate(found["repairs"]):
        value, low, high = (repair[name] for name in names("gain", "points"))
        filled = repair["significant"]
        ax.barh(place, value, color="C0" if filled else "none", edgecolor="C0", linewidth=1)
        ax.plot([low, high], [place, place], color="0.2", linewidth=1.2)
    ax.axvline(0, color="0.4", linewidth=0.8)
    lost = -found["difference_points"]
    ax.axvline(lost, color="C3", linewidth=1.2, linestyle="--")
    ax.text(lost, -0.95, "all of the loss ", color="C3", fontsize=7, ha="right", va="top")
    ax.set_yticks(range(len(found["repairs"])), [repair["cause"] for repair in found["repairs"]])
    ax.set_ylim(len(found["repairs"]) - 0.4, -1)
    ax.set(xlabel="given back by the repair alone, points", title="hollow: not significant")
    ax.spines[["top", "right"]].set_visible(False)


def _draw_responses(ax: Axes, compared: list[dict[str, Any]]) -> None:
    places = np.arange(len(compared))
    ax.plot(places, [100 * layer["response"] for layer in compared], marker="o", markersize=4, label="response")
    above = [np.nan if layer["above_nyquist"] is None else 100 * layer["above_nyquist"] for layer in compared]
    if not np.isnan(above).all():
        ax.plot(places, above, marker="s", markersize=4, linestyle=":", label="energy above Nyquist")
    ax.set_xticks(places, [layer["layer"] for layer in compared], rotation=40, ha="right", fontsize=7)
    ax.set(ylabel="percent", ylim=(0, None), title="difference from the source, layer by layer")
    ax.legend(frameon=False, fontsize=7)
    ax.spines[["top", "right"]].set_visible(False)


def _one(value: float) -> str:
    return f"{value:.1f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
