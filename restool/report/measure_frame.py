"""Measures of records: one row per cell of the grid, over its seeds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from restool import evidence
from restool.evidence.spelling import spelt
from restool.report.frame import cell_columns, setting_columns
from restool.report.groups import Group
from restool.report.measures import SPEED, Measure


def measured(frame: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """One row per cell, in the order of `summarise`: how many `seeds` tell a measure, n, and its mean over them.

    The interval is Student's 95 % one over seeds, cut where no value can be, and blank for one seed; a cell that lacks
    the measure is blank. What depends on the machine is of one `device` in all cells of equal settings, the one of most
    of their records.

    Args:
        frame: what `restool.report.read_records` returns.
        measure: one of `MEASURES`.
    """
    keys, values = cell_columns(frame), _values(frame, measure)
    devices = _devices(frame)
    if measure.of_machine:
        usual = devices[values.notna()].groupby(_settings(frame)).agg(lambda each: Counter(each).most_common(1)[0][0])
        values = values.where(devices == _settings(frame).map(usual))
    cell = frame.groupby(keys, dropna=False, sort=False).ngroup()
    numbers, counts, known = values.to_numpy(), frame["n"].to_numpy(), values.notna().to_numpy()
    rows = []
    for places in map(np.asarray, frame.groupby(cell).indices.values()):
        told = places[known[places]]
        row = {"seeds": len(told), "n": counts[places[0]]} | dict.fromkeys(measure.columns, np.nan)
        if len(told):
            row |= spelt(measure.name, measure.unit, _mean(numbers[told], 1 if measure.unit == "percent" else np.inf))
        rows.append(row | ({"device": devices.iloc[told[0]] if len(told) else None} if measure.of_machine else {}))
    return pd.concat([frame[~cell.duplicated()].reset_index(drop=True)[keys], pd.DataFrame(rows)], axis=1)


def with_measure(groups: Sequence[Group], frame: pd.DataFrame, measure: Measure) -> list[Group]:
    """The groups of a summary of these records that have a measure, with it, in their cells and sources that do."""
    found = measured(frame, measure)
    own = found[[name for name in found if name not in cell_columns(frame) and name != "n"]]

    def joined(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.drop(columns="seeds").join(own).dropna(subset=measure.columns[0])

    each = [replace(group, cells=joined(group.cells), sources=joined(group.sources)) for group in groups]
    return [group for group in each if len(group.cells) or len(group.sources)]


def with_values(groups: Sequence[Group], frame: pd.DataFrame, measures: Sequence[Measure]) -> list[Group]:
    """The groups with the means of several measures in further columns, blank where a cell lacks one."""
    own = pd.concat([measured(frame, measure)[measure.columns[0]] for measure in measures], axis=1)
    return [replace(group, cells=group.cells.join(own), sources=group.sources.join(own)) for group in groups]


def _values(frame: pd.DataFrame, measure: Measure) -> pd.Series:
    """Of every record, NaN where it does not tell."""
    if measure is SPEED:
        seconds = pd.Series([timing.get("evaluate_seconds") for timing in frame["timing"]], frame.index, dtype=float)
        return frame["n"] / seconds.where(seconds > 0)
    return pd.Series([figures.get(measure.field) for figures in frame["figures"]], frame.index, dtype=float)


def _devices(frame: pd.DataFrame) -> pd.Series:
    return pd.Series([environment.get("device", "") for environment in frame["environment"]], frame.index, dtype=object)


def _settings(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby(setting_columns(frame), dropna=False, sort=False).ngroup()


def _mean(values: NDArray[np.float64], most: float) -> evidence.Estimate:
    """Over seeds, of values from 0 to the most there can be; one seed has no interval."""
    found = evidence.mean(values[:, None])
    ends = (max(found.low, 0), min(found.high, most)) if len(values) > 1 else (np.nan, np.nan)
    return replace(found, low=ends[0], high=ends[1])
