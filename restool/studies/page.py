"""The page of a study: what was asked, what was run, and the numbers, measured beside published, from records alone."""

from pathlib import Path
from typing import Any

import pandas as pd

from restool.data import dims_of
from restool.files import write_files
from restool.recipe import DEFAULTS
from restool.report import curves, summarise
from restool.report.figures import as_files
from restool.report.groups import (
    Group,
    Row,
    accuracy,
    judged,
    noun_of,
    plural,
    points,
    row_label,
    span,
    unit_of,
    with_labels,
)
from restool.report.heatmap import draw
from restool.report.tables import CURVES, INTERVAL, aligned, curve_rows, fewer
from restool.studies.spec import Published, StudyFile, Sweep


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
    summary, along = summarise(records), with_labels(curves(records))
    figure = draw(_all_in_one(study, summary, along))
    files = {} if figure is None else as_files("study", figure)
    files["README.md"] = page(study, records, summary, along, pictured=figure is not None).encode()
    return write_files(out, files)


def labelled(study: StudyFile, records: pd.DataFrame) -> pd.DataFrame:
    """The records of a study's sweeps, with a column `sweep`; those of other settings are left out."""
    parts = [records[_belongs(one, records)].assign(sweep=one.label) for one in study.sweeps]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def page(study: StudyFile, records: pd.DataFrame, summary: pd.DataFrame, along: pd.DataFrame, *, pictured: bool) -> str:
    """The page as Markdown, of the study's records and what `summarise` and `curves` make of them."""
    sections = [f"# {study.name}", study.question]
    sections += [f"![{study.name}: difference from the source accuracy](study.png)"] if pictured else []
    sections += ["## What was run", _settings(study, records)]
    if len(summary):
        sections += [
            "## Measured",
            CAPTION.format(noun=noun_of(_unit(study.sweeps[0]))),
            aligned(_measured(summary), left=3),
        ]
        if (along["targets"] > 1).any():
            sections += [CURVES, aligned(curve_rows(along, ["sweep"]), left=3)]
        beside = [line for entry in study.published for line in _beside(entry, summary)]
        if beside:
            header = ["published", "sweep", "cell", "published", "measured", "n", "seeds"]
            sections += ["## Beside published", aligned([header, *beside], left=3)]
    sections += ["## Cut down", study.cut_down] if study.cut_down else []
    sections += ["## Reading", study.reading] if study.reading else []
    return "\n\n".join(section.strip() for section in sections) + "\n"


CAPTION = (
    "Percent; at a target the difference from the source accuracy in points, paired by seed and {noun}, or, after "
    f"fine-tuning, the accuracy. {INTERVAL} n.s.: not significant, p at least 0.05 after Holm's correction for all "
    "cells of the sweep. Blank: not measured."
)


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


def _all_in_one(study: StudyFile, summary: pd.DataFrame, along: pd.DataFrame) -> Group:
    """All sweeps as one heat map, whose rows tell the sweep and its source accuracy."""
    at_source = summary[summary["protocol"] == "source"]
    told = {}
    if (at_source.groupby("sweep")["source"].nunique() == 1).all():  # with several, rows are sources
        told = {row["sweep"]: f" ({row['accuracy_percent']:.1f} %)" for row in at_source.to_dict("records")}
    cells = summary[summary["protocol"] != "source"]
    labels = []
    for row in cells.to_dict("records"):
        labels.append(f"{row['sweep']}{told.get(row['sweep'], '')}, {row_label(row)}")
    return Group(study.name, "", "study", cells.assign(label=labels), at_source[:0], along, along[:0])


def _settings(study: StudyFile, records: pd.DataFrame) -> str:
    """What tells the sweeps apart, how many seeds and images, and where."""
    lines = []
    for one in study.sweeps:
        of_sweep = records[records["sweep"] == one.label]
        changed = {name: value for name, value in one.config.recipe.identity.items() if value != DEFAULTS[name]}
        words = [f"`{name} = {value}`" for name, value in changed.items()]
        trained = (
            f"{one.config.model} at {', '.join(_sizes(one))} {_unit(one)}, {plural(one.config.source_epochs, 'epoch')}"
        )
        text = f"- **{one.label}**: {trained}"
        text += f", {', '.join(words)}" if words else ""
        done = span(of_sweep.groupby("protocol")["seed"].nunique(), "seed") if len(of_sweep) else "not run yet"
        lines.append(f"{text} ({done})")
    return "\n".join(lines)


def _sizes(one: Sweep) -> list[str]:
    """Source sizes as they are typed."""
    return [str(size) if isinstance(size, int) else "+".join(map(str, size)) for size in one.config.train]


def _unit(one: Sweep) -> str:
    """What the sizes of a sweep count."""
    return "steps" if dims_of(one.config.dataset) == 1 else "px"


def _measured(summary: pd.DataFrame) -> list[list[str]]:
    """Header and a row for every sweep, source and protocol."""
    shown = with_labels(summary[summary["protocol"] != "source"])
    targets = sorted(set(shown["target"]))
    unit = unit_of(summary.iloc[0].to_dict())
    table = [
        ["sweep", "source", "protocol", "n", "seeds", "at the source", *(f"{target} {unit}" for target in targets)]
    ]
    for (sweep, source, epochs, label), cells in shown.groupby(
        ["sweep", "source", "finetune_epochs", "label"], sort=False
    ):
        own = summary[(summary["sweep"] == sweep) & (summary["source"] == source) & (summary["protocol"] == "source")]
        seeds = max(cells["seeds"].max(), own["seeds"].max() if len(own) else 0)
        count = plural(int(str(epochs)), "epoch")
        name = str(label).replace(count, f"{count} there", 1) if epochs else str(label)
        line = [str(sweep), f"{source} {unit}", name, str(cells["n"].iloc[0]), str(seeds)]
        line.append(accuracy(own.iloc[0].to_dict()) if len(own) else "")
        by_target = {row["target"]: row for row in cells.to_dict("records")}
        for target in targets:
            row = by_target.get(target)
            line.append("" if row is None else _cell(row, tuned=bool(epochs)) + fewer(row, seeds))
        table.append(line)
    return table


def _cell(row: Row, *, tuned: bool) -> str:
    return accuracy(row) if tuned else judged(row)


def _beside(entry: Published, summary: pd.DataFrame) -> list[list[str]]:
    """A row for every published number and every sweep that has its cell."""
    lines = []
    for name, by_target in (("difference", entry.difference), ("accuracy", entry.accuracy)):
        for target, value in by_target.items():
            cells = summary
            for column, wanted in {**entry.where, "target": target}.items():
                cells = cells[cells[column] == wanted] if column in cells else cells[:0]
            for row in cells.to_dict("records"):
                measured = _cell(row, tuned=name == "accuracy")
                cell = f"{row['source']} -> {target} {unit_of(row)}, {row_label(row)}"
                shown = points(value) if name == "difference" else f"{value:.1f}"
                lines.append([entry.source, row["sweep"], cell, shown, measured, str(row["n"]), str(row["seeds"])])
    return lines
