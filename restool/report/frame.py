"""Records to numbers: one row a record, then one row per cell of the grid, over its seeds, with intervals."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from restool import evidence
from restool.errors import MissingDataError, UsageError
from restool.evidence.spelling import spelt
from restool.integrity import IDENTITY, correct_bits, read_record
from restool.report.columns import CONSISTENCY, CURVE, MEASURED, SUMMARY

PLAIN = ["requery", "bandlimit", "rescale", "interpolate", "position", "as-is", "resize"]
SOFTENED = [f"{name}+soften" for name in PLAIN if name != "resize"]
GIVEN = [*PLAIN, *SOFTENED]
PROTOCOLS = ["source", *GIVEN, "bn-recalibrate", *(f"{name}+bn-recalibrate" for name in GIVEN)]
"""Protocols stand in this order in every table and figure; others follow, then fine-tuning."""


def read_records(out: Path) -> pd.DataFrame:
    """Every record of a folder as one row: the cell's fields, then what a record says of it (`MEASURED`).

    Rows are sorted by setting, source, protocol, target and seed, whatever the order of the files.

    Raises:
        MissingDataError: the folder holds no record.
        DamagedError: a record does not hold together, and is not used.
        UsageError: a record is of another format or a second one of the same cell.
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
    own = {*IDENTITY, *MEASURED, *SUMMARY, *CURVE, *CONSISTENCY} - {"model", "dataset"}
    return [name for name in frame.columns if name not in own and not name.startswith("finetune_")]


def cell_columns(frame: pd.DataFrame) -> list[str]:
    """Names of everything that tells one cell from another, the seed left out."""
    finetune = [name for name in frame.columns if name.startswith("finetune_")]
    return [*setting_columns(frame), "source", "protocol", *finetune, "target"]


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per cell, over its seeds, in percent and percentage points, with 95 % intervals (see `restool.evidence`).

    The difference is correct at the target minus correct at the source, paired by seed and image among records of equal
    settings; it is blank unless every seed of the cell has its source record. `_seed_error` is the standard error over
    seeds, blank for one seed, and `_image_error` that over test images; `_low` and `_high` are the ends of the interval
    of both together. `p` is of no difference, and `p_holm` is corrected for all differences of equal settings.

    Args:
        frame: what `read_records` returns.
    """
    keys = cell_columns(frame)
    bits = decoded(frame["correct"], frame["n"])
    sources = source_records(frame)
    cell = frame.groupby(keys, dropna=False, sort=False).ngroup()
    rows = [_estimates(frame, list(places), bits, sources) for places in frame.groupby(cell).indices.values()]
    # the keys come from the frame and not from the groups, where an integer beside null turns into a float
    measured = pd.DataFrame(rows).reindex(columns=SUMMARY[:-1])
    summary = pd.concat([frame[~cell.duplicated()].reset_index(drop=True)[keys], measured], axis=1)
    compared = [name for name in SUMMARY if name.startswith(("difference", "p"))][:-1]
    summary.loc[summary["protocol"] == "source", compared] = np.nan  # of itself there is none
    together = summary.groupby(setting_columns(summary), dropna=False, sort=False)["p"]
    return summary.assign(p_holm=together.transform(lambda p: evidence.holm(p.to_numpy())))[[*keys, *SUMMARY]]


def decoded(packed: pd.Series, counts: pd.Series) -> list[NDArray[np.bool_]]:
    """Of every record whether each test image was classified correctly, from `result.correct` and n."""
    return [correct_bits(text, n) for text, n in zip(packed, counts, strict=True)]


def of_equal_settings(frame: pd.DataFrame, keys: Collection[str]) -> pd.DataFrame:
    """The records that share all settings with some record of these keys.

    Args:
        frame: what `read_records` returns.
        keys: of records.
    """
    settings = frame.groupby(setting_columns(frame), dropna=False, sort=False).ngroup()
    return frame[settings.isin(settings[frame["key"].isin(list(keys))])].reset_index(drop=True)


def source_records(frame: pd.DataFrame) -> list[int | None]:
    """For every record the place of that of its source model at the source, or None if there is none of as many images.

    Args:
        frame: what `read_records` returns.
    """
    runs = frame.groupby([*setting_columns(frame), "source", "seed"], dropna=False, sort=False).ngroup()
    at_source = frame["protocol"] == "source"
    sources = dict(zip(runs[at_source], frame.index[at_source], strict=True))
    found = [sources.get(run) for run in runs]
    counts = frame["n"].to_numpy()
    return [at if at is not None and counts[at] == n else None for at, n in zip(found, counts, strict=True)]


def _estimates(
    frame: pd.DataFrame, places: list[int], bits: list[NDArray[np.bool_]], sources: list[int | None]
) -> dict[str, float]:
    """The measured columns of a cell, whose records have these places in the frame."""
    correct = np.stack([bits[at] for at in places])
    found: dict[str, float] = {"seeds": len(places), "n": correct.shape[1]}
    found |= _named("accuracy", "percent", evidence.accuracy(correct))
    own = [bits[at] for at in (sources[place] for place in places) if at is not None]
    if len(own) == len(places):
        at_source = np.stack(own).astype(float)
        paired = evidence.difference(correct - at_source)
        found |= {"source_accuracy_percent": 100 * at_source.mean(), "p": paired.p}
        found |= _named("difference", "points", paired)
    return found


def _named(name: str, unit: str, estimate: evidence.Estimate) -> dict[str, float]:
    """An estimate and its two errors as columns."""
    errors = {"seed": estimate.seed_error, "image": estimate.image_error}
    return spelt(name, unit, estimate) | {f"{name}_{of}_error_points": 100 * value for of, value in errors.items()}


def protocol_rank(protocol: str) -> int:
    """Place of a protocol in tables and figures, whatever view it was tested in."""
    name = re.sub("@[0-9]+", "", protocol.split(", ")[0])
    if name == "finetune":
        return len(PROTOCOLS) + 1
    return PROTOCOLS.index(name) if name in PROTOCOLS else len(PROTOCOLS)


def _read_row(path: Path) -> dict[str, Any]:
    record = read_record(path)
    row = {name: _plain(value) for name, value in with_view(record["cell"]).items()}
    row |= {name: record["result"][name] for name in ("accuracy", "n", "correct")}
    row |= {"figures": record.get("figures", {}), "logits": record.get("logits")}  # the first records have none
    return row | {name: record[name] for name in ("key", "timing", "environment")}


def with_view(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell whose protocol also says how its test images came to their size, where that is not as in training."""
    shown = [f"{name.removeprefix('test_').replace('_', ' ')} {value}" for name, value in cell.items() if is_view(name)]
    return {
        name: ", ".join([value, *shown]) if name == "protocol" else value
        for name, value in cell.items()
        if not is_view(name)
    }


def is_view(name: str) -> bool:
    """Whether a field tells how test images come to their size."""
    return name.startswith("test_")


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
