"""Records to numbers: one row a record, then one row per cell of the grid, averaged over its seeds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from restool.errors import MissingDataError, UsageError
from restool.records import RECORD_FORMAT

IDENTITY = {
    "model": str,
    "dataset": str,
    "source": int,
    "protocol": str,
    "finetune_epochs": int,
    "target": int,
    "seed": int,
}
MEASURED = ["accuracy", "n", "key"]
SUMMARY = [
    "seeds",
    "n",
    "accuracy_percent",
    "accuracy_sd_points",
    "standard_error_points",
    "source_accuracy_percent",
    "difference_points",
    "difference_sd_points",
]
PLAIN = ["requery", "bandlimit", "rescale", "interpolate", "position", "as-is", "resize"]
SOFTENED = [f"{name}+soften" for name in PLAIN if name != "resize"]
GIVEN = [*PLAIN, *SOFTENED]
PROTOCOLS = ["source", *GIVEN, "bn-recalibrate", *(f"{name}+bn-recalibrate" for name in GIVEN)]
"""Protocols stand in this order in every table and figure; others follow, then fine-tuning."""


def read_records(out: Path) -> pd.DataFrame:
    """Every record of a folder as one row: the cell's fields, then accuracy (a fraction), n and key.

    Rows are sorted by setting, source, protocol, target and seed, whatever the order of the files.

    Raises:
        MissingDataError: the folder holds no record.
        UsageError: a record is damaged, of another format or a second one of the same cell.
    """
    folder = out / "records"
    files = [path for path in folder.glob("*.json") if not path.name.startswith(".")]
    if not files:
        raise MissingDataError(f"no records in {folder}; a sweep into {out} writes them")
    rows = [_read_row(path) for path in files]
    names = {name for row in rows for name in row}
    settings = sorted(names - set(IDENTITY) - set(MEASURED))
    finetune = [name for name in settings if name.startswith("finetune_")]
    columns = ["model", "dataset", *(name for name in settings if name not in finetune)]
    columns += ["source", "protocol", "finetune_epochs", *finetune, "target", "seed", *MEASURED]
    rows.sort(key=lambda row: [_order(name, row.get(name)) for name in columns])
    # dtype object keeps 500 an integer in a column where other records have null
    frame = pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns, dtype=object)
    frame = frame.astype({"source": int, "target": int, "seed": int, "accuracy": float, "n": int})
    _reject_conflicts(frame, folder)
    return frame


def setting_columns(frame: pd.DataFrame) -> list[str]:
    """Names of the settings that all cells of one group share; what starts with `finetune_` tells rows apart."""
    own = {*IDENTITY, *MEASURED, *SUMMARY} - {"model", "dataset"}
    return [name for name in frame.columns if name not in own and not name.startswith("finetune_")]


def cell_columns(frame: pd.DataFrame) -> list[str]:
    """Names of everything that tells one cell from another, the seed left out."""
    finetune = [name for name in frame.columns if name.startswith("finetune_")]
    return [*setting_columns(frame), "source", "protocol", *finetune, "target"]


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: mean and spread over its seeds, in percent and percentage points.

    The difference is a_target(seed) - a_source(seed), paired by seed among records of equal settings, then averaged;
    it is blank unless every seed of the cell has its source record. `_sd` is the sample standard deviation over k seeds
    (k - 1 in the denominator), blank for one seed. The standard error is sd / sqrt(k), and for one seed the binomial
    sqrt(p (1 - p) / n), which knows of the test images only and not of training.

    Args:
        frame: what `read_records` returns.
    """
    keys = cell_columns(frame)
    run = [*setting_columns(frame), "source", "seed"]
    percent = 100 * frame["accuracy"]
    at_source = percent.where(frame["protocol"] == "source")
    paired = at_source.groupby([frame[name] for name in run], dropna=False, sort=False).transform("max")
    values = frame.assign(accuracy=percent, at_source=paired, difference=percent - paired)
    cell = frame.groupby(keys, dropna=False, sort=False).ngroup()
    cells = values.groupby(cell).agg(
        seeds=("accuracy", "size"),
        n=("n", "first"),
        accuracy_percent=("accuracy", "mean"),
        accuracy_sd_points=("accuracy", "std"),
        standard_error_points=("accuracy", "sem"),
        source_accuracy_percent=("at_source", "mean"),
        difference_points=("difference", "mean"),
        difference_sd_points=("difference", "std"),
        pairs=("difference", "count"),
    )
    p = cells["accuracy_percent"]
    cells["standard_error_points"] = cells["standard_error_points"].fillna((p * (100 - p) / cells["n"]) ** 0.5)
    incomplete = cells["pairs"] < cells["seeds"]
    cells.loc[incomplete, ["source_accuracy_percent", "difference_points", "difference_sd_points"]] = np.nan
    # the keys come from the frame and not from the groups, where an integer beside null turns into a float
    return pd.concat([frame[~cell.duplicated()].reset_index(drop=True)[keys], cells[SUMMARY]], axis=1)


def protocol_rank(protocol: str) -> int:
    """Place of a protocol in tables and figures."""
    if protocol == "finetune":
        return len(PROTOCOLS) + 1
    return PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)


def _read_row(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
        problem = _problem(record, path.stem)
    except (OSError, ValueError):
        problem = "cannot be read as JSON"
    if problem:
        raise UsageError(f"record {path} {problem}: delete it and run the sweep again")
    row = {name: _plain(value) for name, value in record["cell"].items()}
    return row | {"accuracy": record["result"]["accuracy"], "n": record["result"]["n"], "key": record["key"]}


def _problem(record: Any, stem: str) -> str | None:
    """What keeps a parsed file from being a record of this format, or None."""
    if not isinstance(record, dict) or "format" not in record:
        return "is not a record of restool"
    if record["format"] != RECORD_FORMAT:
        return f"has format {record['format']}, but this restool reads format {RECORD_FORMAT}"
    if record.get("key") != stem:
        return f"must be named after its key, which is {record.get('key')}"
    cell, result = record.get("cell"), record.get("result")
    if not isinstance(cell, dict) or not isinstance(result, dict):
        return "has no cell or no result"
    for name, kind in IDENTITY.items():
        if not isinstance(cell.get(name), kind):
            return f"must have cell.{name} of type {kind.__name__}, got {cell.get(name)!r}"
    accuracy, n = result.get("accuracy"), result.get("n")
    if not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
        return f"must have result.accuracy between 0 and 1, got {accuracy!r}"
    return None if isinstance(n, int) and n > 0 else f"must have result.n above 0, got {n!r}"


def _plain(value: Any) -> Any:
    """A setting as something that can be compared: a list or an object becomes its JSON text."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value


def _order(name: str, value: Any) -> tuple[int, float, str]:
    """Sort key for any setting: numbers by size, then words, then what is not set."""
    if value is None:
        return 2, 0, ""
    if isinstance(value, int | float):
        return 0, value, ""
    return 1, protocol_rank(value) if name == "protocol" else 0, str(value)


def _reject_conflicts(frame: pd.DataFrame, folder: Path) -> None:
    keys = cell_columns(frame)
    twice = frame[frame.duplicated([*keys, "seed"], keep=False)]
    if len(twice):
        first, second = twice["key"].iloc[:2]
        raise UsageError(
            f"records {first}.json and {second}.json in {folder} must be of different cells, got one cell twice: "
            "delete both and run the sweep again"
        )
    sizes = frame.groupby(keys, dropna=False, sort=False)["n"].transform("nunique")
    if (sizes > 1).any():
        key = frame["key"][sizes > 1].iloc[0]
        raise UsageError(
            f"record {folder / key}.json and other seeds of its cell must have one number n of test images: "
            "delete them and run the sweep again"
        )
