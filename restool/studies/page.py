"""The page of a study: what was asked, what was run, and the numbers, measured beside published, from records alone."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from restool.files import write_atomically
from restool.recipe import DEFAULTS
from restool.records import ResultsFolder
from restool.report import summarise
from restool.report.groups import Group, plural, points, row_label, span
from restool.report.heatmap import draw, render
from restool.report.tables import aligned
from restool.studies.spec import Published, StudyFile, Sweep

CONFIDENCE = 0.95

Bits = Mapping[str, np.ndarray]
"""Of every record, by its key: 1.0 for each test image that was classified correctly, else 0.0, [N]."""


def write_page(study: StudyFile, out: Path, records: pd.DataFrame) -> list[Path]:
    """Write `README.md`, and the heat maps of all sweeps side by side as `study.png` and `study.pdf`.

    Args:
        study: what to show.
        out: results folder.
        records: of the folder, as `restool.report.read_records` gives them.

    Returns:
        The files written.
    """
    records = labelled(study, records)
    files: dict[str, bytes] = {}
    figure = draw(_all_in_one(study, summarise(records)))
    if figure is not None:
        files |= {f"study.{suffix}": render(figure, suffix) for suffix in ("png", "pdf")}
    folder = ResultsFolder(out)
    bits = {key: folder.correct(key).astype(float) for key in records["key"]}
    files["README.md"] = page(study, records, bits, pictured=figure is not None).encode()
    for name, content in files.items():
        write_atomically(out / name, content)
    return [out / name for name in files]


def labelled(study: StudyFile, records: pd.DataFrame) -> pd.DataFrame:
    """The records of a study's sweeps, with a column `sweep`; those of other settings are left out."""
    parts = [records[_belongs(one, records)].assign(sweep=one.label) for one in study.sweeps]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def page(study: StudyFile, records: pd.DataFrame, bits: Bits, *, pictured: bool) -> str:
    """The page as Markdown."""
    sections = [f"# {study.name}", study.question]
    sections += [f"![{study.name}: difference from the source accuracy](study.png)"] if pictured else []
    sections += ["## What was run", _settings(study, records)]
    if len(records):
        sections += ["## Measured", CAPTION, aligned(_measured(records, bits), left=3)]
        beside = [line for entry in study.published for line in _beside(entry, records, bits)]
        if beside:
            header = ["published", "sweep", "cell", "published", "measured", "n", "seeds"]
            sections += ["## Beside published", aligned([header, *beside], left=3)]
    sections += ["## Cut down", study.cut_down] if study.cut_down else []
    sections += ["## Reading", study.reading] if study.reading else []
    return "\n\n".join(section.strip() for section in sections) + "\n"


CAPTION = (
    "Percent; at a target the difference from the source accuracy in points, or, after fine-tuning, the accuracy. "
    "In brackets half of the 95 % interval: over seeds (Student's t) where there are several, over test images where "
    "there is one; it does not know of the other source of spread. Blank: not measured."
)


def interval(values: list[np.ndarray]) -> tuple[float, float]:
    """Mean and half of its 95 % interval, in the units of the values.

    With k > 1 seeds the interval is Student's over the seeds' means, t_{k - 1} sd / sqrt(k); with one seed it is the
    normal one over test images, 1.96 sd / sqrt(n).

    Args:
        values: of every seed, one number per test image.
    """
    seeds = np.array([value.mean() for value in values])
    if len(seeds) > 1:
        return float(seeds.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1) * stats.sem(seeds))
    return float(seeds[0]), float(stats.norm.ppf((1 + CONFIDENCE) / 2) * stats.sem(values[0]))


def _belongs(one: Sweep, records: pd.DataFrame) -> "pd.Series[bool]":
    """Which records are cells of a sweep, whatever its data set is called."""
    config = one.config
    wanted: dict[str, Any] = {
        **vars(config.recipe),
        "model": config.model,
        "epochs": config.source_epochs,
        "limit": config.limit,
    }
    found = pd.Series(True, index=records.index)
    for name, value in wanted.items():
        if name in records:
            column = records[name].where(records[name].notna(), DEFAULTS.get(name))
            found &= column.isna() if value is None else column == value
        else:
            found &= value == DEFAULTS.get(name)
    sizes = records.get("train_sizes", pd.Series(None, index=records.index, dtype=object))
    typed = sizes.where(sizes.notna(), records["source"].astype(str))
    return found & typed.isin(_sizes(one))


def _all_in_one(study: StudyFile, summary: pd.DataFrame) -> Group:
    """All sweeps as one heat map, whose rows tell the sweep and its source accuracy."""
    at_source = summary[summary["protocol"] == "source"]
    told = {}
    if summary["source"].nunique() == 1:  # with several, rows are sources
        told = {row["sweep"]: f" ({row['accuracy_percent']:.1f} %)" for _, row in at_source.iterrows()}
    cells = summary[summary["protocol"] != "source"]
    labels = []
    for _, row in cells.iterrows():
        labels.append(f"{row['sweep']}{told.get(row['sweep'], '')}, {row_label(row)}")
    return Group(study.name, "", "study", cells.assign(label=labels), at_source[:0])


def _settings(study: StudyFile, records: pd.DataFrame) -> str:
    """What tells the sweeps apart, how many seeds and images, and where."""
    lines = []
    for one in study.sweeps:
        of_sweep = records[records["sweep"] == one.label]
        changed = {name: value for name, value in one.config.recipe.identity.items() if value != DEFAULTS[name]}
        words = [f"`{name} = {value}`" for name, value in changed.items()]
        trained = f"{one.config.model} at {', '.join(_sizes(one))} px, {plural(one.config.source_epochs, 'epoch')}"
        text = f"- **{one.label}**: {trained}"
        text += f", {', '.join(words)}" if words else ""
        done = span(of_sweep.groupby("protocol")["seed"].nunique(), "seed") if len(of_sweep) else "not run yet"
        lines.append(f"{text} ({done})")
    return "\n".join(lines)


def _sizes(one: Sweep) -> list[str]:
    """Source sizes as they are typed."""
    return [str(size) if isinstance(size, int) else "+".join(map(str, size)) for size in one.config.train]


def _measured(records: pd.DataFrame, bits: Bits) -> list[list[str]]:
    """Header and a row for every sweep, source and protocol."""
    targets = sorted(set(records["target"][records["protocol"] != "source"]))
    table = [["sweep", "source", "protocol", "n", "seeds", "at the source", *(f"{target} px" for target in targets)]]
    shown = records[records["protocol"] != "source"]
    for (sweep, source, protocol, epochs), cells in shown.groupby(
        ["sweep", "source", "protocol", "finetune_epochs"], sort=False
    ):
        own = _at_source(records, cells)
        own = own[own["seed"].isin(cells["seed"])]
        name = plural(int(str(epochs)), "epoch") + " there" if epochs else str(protocol)
        line = [str(sweep), f"{source} px", name, str(cells["n"].iloc[0]), str(cells["seed"].nunique())]
        line.append(_with_half(*interval([bits[key] for key in own["key"]])) if len(own) else "")
        for target in targets:
            at_target = cells[cells["target"] == target]
            line.append(_cell(at_target, own, bits, tuned=bool(epochs)) if len(at_target) else "")
        table.append(line)
    return table


def _at_source(records: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The records at the source of the sweep and the source that cells share."""
    sweep, source = cells[["sweep", "source"]].iloc[0]
    return records[(records["sweep"] == sweep) & (records["source"] == source) & (records["protocol"] == "source")]


def _cell(cells: pd.DataFrame, own: pd.DataFrame, bits: Bits, *, tuned: bool) -> str:
    if tuned:
        return _with_half(*interval([bits[key] for key in cells["key"]]))
    found = _difference(cells, own, bits)
    return "" if found is None else _with_half(*found, signed=True)


def _difference(cells: pd.DataFrame, own: pd.DataFrame, bits: Bits) -> tuple[float, float] | None:
    """Accuracy of cells minus that at the source, paired by seed and image; None unless every seed has both."""
    sources = dict(zip(own["seed"], own["key"], strict=True))
    if not set(cells["seed"]) <= set(sources):
        return None
    pairs = zip(cells["key"], cells["seed"], strict=True)
    return interval([bits[key] - bits[sources[seed]] for key, seed in pairs])


def _beside(entry: Published, records: pd.DataFrame, bits: Bits) -> list[list[str]]:
    """A row for every published number and every sweep that has its cell."""
    lines = []
    for name, by_target in (("difference", entry.difference), ("accuracy", entry.accuracy)):
        for target, value in by_target.items():
            where = {**entry.where, "target": target}
            cells = records
            for column, wanted in where.items():
                cells = cells[cells[column] == wanted] if column in cells else cells[:0]
            for sweep, found in cells.groupby("sweep", sort=False):
                measured = _cell(found, _at_source(records, found), bits, tuned=name == "accuracy")
                cell = f"{found['source'].iloc[0]} -> {target} px, {found['protocol'].iloc[0]}"
                shown = points(value) if name == "difference" else f"{value:.1f}"
                counts = [str(found["n"].iloc[0]), str(found["seed"].nunique())]
                lines.append([entry.source, str(sweep), cell, shown, measured, *counts])
    return lines


def _with_half(mean: float, half: float, *, signed: bool = False) -> str:
    value = points(100 * mean) if signed else f"{100 * mean:.1f}"
    return value if math.isnan(half) else f"{value} ({100 * half:.1f})"
