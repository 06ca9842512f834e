"""Records for other programs: one row per record as CSV or JSON lines, or scalars for TensorBoard."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from restool.errors import UsageError
from restool.report.curve import curves
from restool.report.frame import read_records, summarise
from restool.report.groups import split


def rows(out: Path) -> list[dict[str, Any]]:
    """One row per record, in the order of the tables: key, the fields of the cell, accuracy in percent, n.

    `figures_`, `timing_` and `environment_` stand before the names of what the record says of those. What a record does
    not say is missing from its row.
    """
    found = []
    for key in read_records(out)["key"]:
        record = json.loads((out / "records" / f"{key}.json").read_text("utf-8"))
        row = {"key": key, **record["cell"]}
        row |= {"accuracy_percent": 100 * record["result"]["accuracy"], "n": record["result"]["n"]}
        for part in ("figures", "timing", "environment"):
            row |= {f"{part}_{name}": value for name, value in record.get(part, {}).items()}
        found.append(row)
    return found


def as_csv(out: Path) -> str:
    """Rows under one header; what a record does not say is empty."""
    return pd.DataFrame(rows(out), dtype=object).to_csv(index=False, lineterminator="\n")


def as_jsonl(out: Path) -> str:
    """A JSON object a line."""
    return "".join(json.dumps(row) + "\n" for row in rows(out))


SCALARS = ["accuracy_percent", "accuracy_low_percent", "accuracy_high_percent", "difference_points"]
"""What TensorBoard is given of every cell."""


def write_tensorboard(out: Path, to: Path) -> list[Path]:
    """Scalars of every cell over its seeds, the target size as their step: a run per setting, source and protocol.

    Args:
        out: results folder.
        to: folder for the runs.

    Returns:
        The folders of the runs.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    try:
        from tensorboard.summary import DirectoryOutput, Writer
    except ImportError as error:
        raise UsageError("TensorBoard is not installed; pip install 'restool[tensorboard]'") from error
    records = read_records(out)
    folders = []
    for group in split(summarise(records), curves(records)):
        for (source, label), cells in group.cells.groupby(["source", "label"], sort=False):
            name = re.sub(r"[^a-z0-9.+]+", "-", f"{label}-from-{source}-{group.unit}".lower())
            folders.append(to / group.slug / name)
            writer = Writer(DirectoryOutput(str(folders[-1])))
            for row in cells.to_dict("records"):
                for scalar in SCALARS:
                    if not pd.isna(row[scalar]):
                        writer.add_scalar(scalar, row[scalar], row["target"])
            writer.close()
    return folders
