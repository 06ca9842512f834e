"""Two results side by side: the same cells of two folders, or of two settings of one, paired by seed and test image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from restool import evidence
from restool.arguments import unknown_name
from restool.errors import RestoolError, UsageError
from restool.evidence import SIGNIFICANT, Estimate
from restool.recipe import LATER
from restool.report.columns import MEASURED
from restool.report.frame import decoded, read_records, setting_columns
from restool.report.groups import PLACES, noun_of, plural, points, told_p, unit_of

IMAGES = ["data", "limit"]
"""Two cells were tested on the same images where these are equal."""


class BelowError(RestoolError):
    """The second side is worse than the first by more than was allowed."""

    exit_status = 5


@dataclass(frozen=True)
class Side:
    """The records of one side.

    Attributes:
        name: as it was typed.
        out: results folder.
        where: what their fields must be, as text.
    """

    name: str
    out: Path
    where: dict[str, str]


def parse_sides(first: str, second: str) -> tuple[Side, Side]:
    """Two sides as they are typed: DIR, DIR:FIELD=VALUE,..., or for the second FIELD=VALUE,... of the first folder.

    A second side without a folder has the conditions of the first too, but for the fields that it names itself.

    Raises:
        UsageError: a side is empty, or a condition is not of this form.
    """
    folder, where = _parse(first)
    if not folder:
        raise UsageError(f"the first side must name a results folder, as in DIR:{first}")
    one = Side(first, Path(folder), where)
    if not second:
        raise UsageError("the second side must be a folder, or FIELD=VALUE for others of the first one's records")
    folder, where = _parse(second)
    return one, Side(second, Path(folder) if folder else one.out, where if folder else one.where | where)


def _parse(text: str) -> tuple[str, dict[str, str]]:
    folder, colon, conditions = text.rpartition(":")
    if not colon and "=" in text and not Path(text).exists():
        folder, conditions = "", text
    elif "=" not in conditions:
        folder, conditions = text, ""
    where = {}
    for condition in filter(None, conditions.split(",")):
        field, equals, value = condition.partition("=")
        if not (field and equals and value):
            raise UsageError(f"conditions must be FIELD=VALUE, separated by commas, but {text!r} has {condition!r}")
        where[field] = value
    return folder, where


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        first, second: names of the sides.
        rows: one per cell that both have: its place, `seeds`, `n`, accuracy of both in percent, second minus first in
            points with the ends of its 95 % interval, p, and p corrected for all cells.
        mean: second minus first, averaged over the cells (but for those at the source, where there are others).
        cells: so many.
        seeds: that all of them have on both sides.
        images: test images, or sequences.
        unit: what sizes count.
        left_out: records without a partner on the other side.
    """

    first: str
    second: str
    rows: pd.DataFrame
    mean: Estimate
    cells: int
    seeds: int
    images: int
    unit: str
    left_out: int

    @property
    def noun(self) -> str:
        """What was tested: image or sequence."""
        return noun_of(self.unit)

    @property
    def is_real(self) -> bool:
        """Whether the mean difference is significant."""
        return self.mean.p < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """The mean difference in one sentence."""
        value, low, high = (points(100 * part) for part in (self.mean.mean, self.mean.low, self.mean.high))
        counts = f"{plural(self.seeds, 'seed')}, {self.images:,} test {self.noun}s, {plural(self.cells, 'cell')}"
        told = f"{value} points, 95 % interval {low} to {high}; {counts}; p {told_p(self.mean.p)}"
        again = "" if self.seeds > 1 else " One seed tells nothing of another training."
        if not self.is_real:
            return f"No difference between {self.first} and {self.second} can be told ({told}).{again}"
        word = "better" if self.mean.mean > 0 else "worse"
        return f"{self.second} is {word} than {self.first} ({told}).{again}"

    def require_above(self, allowed: float) -> None:
        """Raise BelowError where the mean difference is below so many points."""
        if 100 * self.mean.mean < allowed:
            told = points(100 * self.mean.mean)
            raise BelowError(f"{self.second} is at {told} points from {self.first}, below the {allowed:g} allowed")


def compare(first: Side, second: Side) -> Comparison:
    """Compare the cells that two sides share.

    Cells are the same where source and target are, and protocol and fine-tuning, unless a condition names a field or
    each side has a single value of it. All other settings may differ between the sides, but not within one.

    Raises:
        MissingDataError: a folder without records.
        UsageError: a side has no or several records of a cell, or the sides share no cell or no test images.
    """
    one, two = _records(first), _records(second)
    named = {*first.where, *second.where}
    how: list[str] = sorted(name for name in {*one, *two} if str(name).startswith(("protocol", "finetune_")))
    varied = [name for name in how if max(_values(one, name), _values(two, name)) > 1]
    place = [name for name in [*PLACES, *varied] if name not in named]
    for side, records in ((first, one), (second, two)):
        _require_one_of_each(side, records, [*place, "seed"])
    _require_same_images(one, two)
    keys = [*place, "seed"]
    one, two = (side.assign(**{name: side.get(name) for name in keys}) for side in (one, two))
    both = one.merge(two, on=keys, suffixes=("", " of the second"))
    if both.empty:
        raise UsageError(f"{first.name} and {second.name} must share cells, but share none of equal {', '.join(keys)}")
    return _comparison(first, second, both, place, left_out=len(one) + len(two) - 2 * len(both))


def _comparison(first: Side, second: Side, both: pd.DataFrame, place: list[str], *, left_out: int) -> Comparison:
    before = decoded(both["correct"], both["n"])
    after = decoded(both["correct of the second"], both["n of the second"])
    rows, of_cells = [], []
    for _, cell in both.groupby(place, dropna=False, sort=False):
        pair = [np.stack([bits[at] for at in cell.index]) for bits in (before, after)]
        differences = pair[1].astype(np.int8) - pair[0]  # a byte each, for there may be many cells
        of_cells.append(dict(zip(cell["seed"], differences, strict=True)))
        found = evidence.difference(differences)
        rows.append(
            {name: cell[name].iloc[0] for name in place}
            | {"seeds": len(cell), "n": pair[0].shape[1]}
            | {"first_percent": 100 * pair[0].mean(), "second_percent": 100 * pair[1].mean()}
            | {"difference_points": 100 * found.mean, "low_points": 100 * found.low, "high_points": 100 * found.high}
            | {"p": found.p}
        )
    table = pd.DataFrame(rows)
    table["p_holm"] = evidence.holm(table["p"])
    at_source = [row.get("protocol") == "source" for row in rows]
    counted = [cell for cell, left in zip(of_cells, at_source, strict=True) if not left or all(at_source)]
    seeds = sorted(set.intersection(*(set(cell) for cell in counted)))
    if not seeds:
        raise UsageError(f"{first.name} and {second.name} must share a seed that all their cells have")
    mean = evidence.difference([np.mean([cell[seed] for cell in counted], axis=0) for seed in seeds])
    images = int(table["n"].iloc[0])
    unit = unit_of(both.iloc[0].to_dict())
    return Comparison(first.name, second.name, table, mean, len(counted), len(seeds), images, unit, left_out)


def _records(side: Side) -> pd.DataFrame:
    """The records that fulfil the conditions of a side."""
    records = read_records(side.out)
    for field, value in side.where.items():
        if field not in records or field in MEASURED:
            if field not in LATER:
                raise unknown_name("field", field, [str(name) for name in records if name not in MEASURED])
            records[field] = LATER[field]
        kept = records[[_is(found, value, field) for found in records[field]]]
        if kept.empty:
            known = ", ".join(sorted({_told(found, field) for found in records[field]}))
            raise UsageError(f"{side.name} has no record with {field}={value}; there {field} is {known}")
        records = kept
    return records


def _is(found: Any, value: str, field: str) -> bool:
    """Whether a field is what was typed: the same text or the same number."""
    told = _told(found, field)
    try:
        return told == value or float(told) == float(value)
    except ValueError:
        return False


def _told(found: Any, field: str) -> str:
    """A value of a record as it is typed; what is not set has its default."""
    return str(LATER.get(field, "none") if bool(pd.isna(found)) else found)


def _values(records: pd.DataFrame, name: str) -> int:
    return records[name].nunique(dropna=False) if name in records else 1


def _require_one_of_each(side: Side, records: pd.DataFrame, keys: list[str]) -> None:
    if not records.duplicated([name for name in keys if name in records]).any():
        return
    settings: list[str] = setting_columns(records)
    names = [name for name in (*settings, "protocol", "finetune_epochs", *PLACES) if name not in keys]
    several = {name: sorted({_told(found, name) for found in records[name]}) for name in names}
    several = {name: values for name, values in several.items() if len(values) > 1}
    choices = "; ".join(f"{name} {', '.join(values)}" for name, values in several.items())
    name, values = next(iter(several.items()))
    mend = f"choose one, as in {side.out}:{name}={values[0]}"
    raise UsageError(f"{side.name} must have one record of each cell and seed, but differs in {choices}; {mend}")


def _require_same_images(one: pd.DataFrame, two: pd.DataFrame) -> None:
    for name in [name for name in IMAGES if name in one or name in two]:
        values = {_told(found, name) for records in (one, two) for found in records[name]}
        if len(values) > 1:
            told = f"{noun_of(unit_of(one.iloc[0].to_dict()))}s, but {name} is {', '.join(sorted(values))}"
            raise UsageError(f"both sides must be tested on the same {told}")
