"""A summary cut into groups of equal settings, with the words that tables and figures share."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd

from restool.evidence import SIGNIFICANT
from restool.recipe import LATER
from restool.report.frame import setting_columns

T = TypeVar("T")
Row = Mapping[Any, Any]
"""A row of a summary, by its columns."""
PLACES = ["source", "target"]
"""The sizes of a cell; two results are compared where both are equal, unless a condition names them."""
MOST, FEW = 25, 10
"""Of more sizes than the first number, a table has about the second."""
MANY = 16
"""More settings than that have one figure together, and a list of their numbers."""
NAMED = ["model", "dataset", "alias_penalty", "epochs", "limit"]
"""Every heading tells these settings; the others are in the heading only where groups differ in them."""


@dataclass(frozen=True)
class Group:
    """The cells that share all settings.

    Attributes:
        heading: the settings in words, different for every group of one report.
        settings: the settings that the heading leaves out, in words.
        slug: the heading as a part of a file name.
        cells: the rows of the summary but those of the source, with a column `label`: the protocol before fine-tuning,
            the epochs after it.
        sources: the rows of the summary that hold a source accuracy.
        curves: what `restool.report.curves` gives along their targets, with the same labels.
        consistency: what `restool.report.consistency` gives of them, with the same labels.
        mixed: in what the records differ that decides their last bits, in words, see `restool.report.provenance.mixed`.
    """

    heading: str
    settings: str
    slug: str
    cells: pd.DataFrame
    sources: pd.DataFrame
    curves: pd.DataFrame
    consistency: pd.DataFrame
    mixed: str = ""

    @cached_property
    def targets(self) -> list[int]:
        return sorted(set(self.cells["target"]))

    @cached_property
    def unit(self) -> str:
        """What its sizes count."""
        return unit_of((self.cells if len(self.cells) else self.sources).iloc[0].to_dict())

    @property
    def noun(self) -> str:
        """What is tested: image or sequence."""
        return noun_of(self.unit)

    @cached_property
    def thinned(self) -> "Group":
        """With a few of its sources and targets where there are too many for a table that a person reads, or itself."""
        cells = self.cells
        for name in PLACES:
            cells = cells[cells[name].isin(thinned(sorted(set(cells[name]))))]
        if len(cells) == len(self.cells):
            return self
        return replace(self, cells=cells, sources=self.sources[self.sources["source"].isin(cells["source"])])

    @property
    def left_out(self) -> str:
        """A sentence on how many sizes `thinned` has, or nothing."""
        counts = [(len(set(each.cells[name])) for each in (self.thinned, self)) for name in PLACES]
        told = [
            f"{some} of {every} {name}s" for name, (some, every) in zip(PLACES, counts, strict=True) if some < every
        ]
        return f" Shown are {' and '.join(told)}; the CSV file has all." if told else ""

    def at_source(self, source: int) -> Row | None:
        """The row of the models trained at `source`, over all their seeds, or None without a record."""
        return self._own.get(source)

    @cached_property
    def _own(self) -> dict[int, Row]:
        rows: dict[int, Row] = {}
        for row in self.sources.to_dict("records"):
            rows.setdefault(row["source"], row)
        return rows


def thinned(values: Sequence[T]) -> Sequence[T]:
    """About `FEW` of more than `MOST` values, evenly spread from the first one on; fewer stay as they are."""
    return values[:: math.ceil(len(values) / FEW)] if len(values) > MOST else values


def split(summary: pd.DataFrame, curves: pd.DataFrame, consistency: pd.DataFrame | None = None) -> list[Group]:
    """Groups of equal settings in the order of the summary."""
    names, varying = setting_columns(summary), _varying(summary)
    beside = [
        ({str(key): with_labels(found) for key, found in frame.groupby(names, dropna=False, sort=False)}, frame[:0])
        for frame in (curves, summary[:0] if consistency is None else consistency)
    ]
    groups: list[Group] = []
    for (key, cells), heading in zip(summary.groupby(names, dropna=False, sort=False), headings(summary), strict=True):
        values = cells.iloc[0].to_dict()
        rest = [name for name in names if name not in {*NAMED, *varying}]
        slug = _slug(heading, taken={group.slug for group in groups})
        labelled = with_labels(cells)
        at_source = cells["protocol"] == "source"
        settings = ", ".join(_phrases(values, rest))
        curve, kept = (of_settings.get(str(key), with_labels(nothing)) for of_settings, nothing in beside)
        groups.append(Group(heading, settings, slug, labelled[~at_source], labelled[at_source], curve, kept))
    return groups


def headings(rows: pd.DataFrame) -> list[str]:
    """Of every group of equal settings, in the order of the rows: of a summary, or of records."""
    names = setting_columns(rows)
    told = [name for name in NAMED[2:] if name in names] + _varying(rows)
    firsts = [of_group.iloc[0].to_dict() for _, of_group in rows.groupby(names, dropna=False, sort=False)]
    return [", ".join([f"{one['model']} on {one['dataset']}", *_phrases(one, told)]) for one in firsts]


def _varying(rows: pd.DataFrame) -> list[str]:
    """Settings in which rows differ, but for those that every heading tells."""
    names = [name for name in setting_columns(rows) if name not in NAMED]
    return [name for name in names if rows[name].nunique(dropna=False) > 1]


def with_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a summary with the column `label`."""
    return rows.assign(label=[row_label(row) for row in rows.to_dict("records")])


def row_label(row: Row) -> str:
    """The protocol before fine-tuning; the epochs and what else tells it apart after."""
    if row["finetune_epochs"] == 0:
        return row["protocol"]
    extra = [name for name in map(str, row) if name.startswith("finetune_") and name != "finetune_epochs"]
    told = [_phrase(name.removeprefix("finetune_"), row[name], noun_of(unit_of(row))) for name in extra]
    return ", ".join([plural(row["finetune_epochs"], "epoch"), *filter(None, told)])


def unit_of(row: Row) -> str:
    """What the sizes of a row count: px, or what its records say."""
    unit = row.get("unit")
    return "px" if unit is None or bool(pd.isna(unit)) else str(unit)


def noun_of(unit: str) -> str:
    """What is tested where sizes count in a unit: an image of so many px, a sequence of so many steps."""
    return "image" if unit == "px" else "sequence"


def points(value: float) -> str:
    """A difference in percentage points with its sign; never a negative zero."""
    return f"{value:+z.1f}"


def accuracy(row: Row) -> str:
    """In percent, with half of its interval."""
    return f"{row['accuracy_percent']:.1f} ± {_half(row, 'accuracy', 'percent'):.1f}"


def judged(row: Row) -> str:
    """The difference from the source accuracy in points, with half of its interval, and whether it is real."""
    value = row["difference_points"]
    if bool(pd.isna(value)):
        return ""
    real = "" if is_significant(row) else " n.s."
    return f"{points(value)} ± {_half(row, 'difference', 'points'):.1f}{real}"


def _half(row: Row, name: str, unit: str) -> float:
    return (row[f"{name}_high_{unit}"] - row[f"{name}_low_{unit}"]) / 2


def is_significant(row: Row) -> bool:
    """Whether the difference from the source accuracy is real, corrected for the number of cells."""
    return bool(row["p_holm"] < SIGNIFICANT)


def told_p(p: float) -> str:
    """A p value, with the sign between it and its name."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def span(counts: "pd.Series[int]", noun: str) -> str:
    """How many, where cells may differ: `3 seeds`, `1 to 3 seeds`."""
    low, high = counts.min(), counts.max()
    return plural(high, noun) if low == high else f"{low} to {plural(high, noun)}"


def told_settings(settings: Mapping[str, Any]) -> list[str]:
    """The settings of one model that a heading tells, and those that are not default, in words."""
    return _phrases(settings, [name for name in [*NAMED[2:], *LATER] if name in settings])


def _phrases(values: Row, names: list[str]) -> list[str]:
    noun = noun_of(unit_of(values))
    return list(filter(None, (_phrase(name, values[name], noun) for name in names)))


def _phrase(name: str, value: Any, noun: str) -> str:
    """One setting in words, of models of images or sequences; a limit that is not set says nothing."""
    value = LATER.get(name, value) if bool(pd.isna(value)) else value
    missing = bool(pd.isna(value))
    match name:
        case "alias_penalty":
            return "no aliasing penalty" if missing or value == "none" else f"aliasing penalty {value}"
        case "epochs" if not missing:
            return plural(value, "epoch")
        case "limit":
            return "" if missing else f"limited to {plural(value, noun)}"
        case "train_sizes":
            return "" if missing else f"trained at {value}"
        case "unit":
            return ""
        case "resample":
            return "" if missing else f"resampled by {value}"
        case "fit" | "crop_ratio" | "antialias" | "low_pass" | "augment" | "tune" if missing:
            return ""
        case "data":
            return f"data {str(value)[:12]}"
    return f"{name.replace('_', ' ')} {'not set' if missing else value}"


def _slug(heading: str, taken: set[str]) -> str:
    slug = re.sub(r"[^a-z0-9.]+", "-", heading.lower()).strip("-.")[:100]
    while slug in taken:
        slug += "-2"
    return slug
