"""Curves over the target size in one number each."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from restool import evidence
from restool.evidence.spelling import spelt
from restool.report.columns import CURVE
from restool.report.frame import cell_columns, decoded, source_records


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per source and protocol of equal settings: what is lost along all its targets, with 95 % intervals.

    `area_points` is the mean difference from the source accuracy along the logarithm of size, `worst_points` the least
    difference, at `worst_target`, and `rank_correlation` Spearman's of the difference with the size, from three targets
    on (see `restool.evidence`). All are of the seeds that every target has (`curve_seeds`) together with their source.

    Args:
        frame: what `restool.report.read_records` returns.
    """
    keys = [name for name in cell_columns(frame) if name != "target"]
    bits, sources = decoded(frame["correct"], frame["n"]), source_records(frame)
    compared = frame[(frame["protocol"] != "source") & np.array([at is not None for at in sources])]
    rows = []
    for _, of_curve in compared.groupby(keys, dropna=False, sort=False):
        places: dict[int, dict[int, int]] = {}
        for at, target, seed in zip(of_curve.index, of_curve["target"], of_curve["seed"], strict=True):
            places.setdefault(target, {})[seed] = at
        targets, seeds = sorted(places), set.intersection(*map(set, places.values()))
        if seeds:
            of_targets = [[places[target][seed] for seed in sorted(seeds)] for target in targets]
            table = np.array([[_change(bits, place, sources[place]) for place in of_seeds] for of_seeds in of_targets])
            rows.append({name: of_curve[name].iloc[0] for name in keys} | _measured(table, targets))
    return pd.DataFrame(rows, columns=[*keys, *CURVE]).astype({name: object for name in keys})


def _change(bits: list[NDArray[np.bool_]], place: int, source: int | None) -> NDArray[np.int8]:
    """Correct minus correct at the source, of every image."""
    assert source is not None
    return bits[place].astype(np.int8) - bits[source]


def _measured(table: np.ndarray, targets: list[int]) -> dict[str, float]:
    """The measured columns of a curve, of differences [targets, seeds, images]."""
    area = evidence.area(table, targets)
    worst = int(table.mean((1, 2)).argmin())
    of_worst = evidence.difference(table[worst])
    found = {"targets": len(targets), "curve_seeds": table.shape[1]}
    found |= spelt("area", "points", area) | spelt("worst", "points", of_worst)
    found["worst_target"] = targets[worst]
    if len(targets) > 2:
        found |= spelt("rank_correlation", "", evidence.rank_correlation(table, targets))
    return found
