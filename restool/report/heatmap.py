"""Heat maps of transfer: what is lost at a target, before fine-tuning and after it, on one scale."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure

from restool.report.groups import Group, Row, is_significant, points
from restool.report.maps import Scale, Section, by_tuning, compose, section, told_sources, unmeasured
from restool.report.overview import ROWS, overview

DIFFERENCE = "accuracy at the target minus accuracy at the source"
TITLES = (f"Zero-shot: {DIFFERENCE}", "After fine-tuning at the target")


def draw(group: Group) -> Figure | None:
    """The heat map of a group, or None where it has no cell to show.

    Cells hold the difference from the source accuracy in percentage points; those in brackets are not significant. All
    panels share one colour scale, centred at 0, on which the depth of a colour is the root of the difference, so that
    one point can be told from none and sixty from twenty. With one source resolution the rows are the protocols; with
    several there is a panel per protocol, whose rows are the source resolutions.
    """
    sections = _sections(group)
    if not sections:
        return None
    subtitle = told_sources(group, _accuracy, "accuracy")
    return compose(group.heading, sections, _scale(sections), subtitle, _legend(sections))


def draw_all(groups: Sequence[Group]) -> Figure | None:
    """One heat map of many groups, or None where they have no cell to show; see `restool.report.overview`."""
    sections = overview(groups, "difference_points", _text)
    if not sections:
        return None
    subtitle = f"{DIFFERENCE.capitalize()}; {ROWS}"
    return compose(f"{len(groups)} settings", sections, _scale(sections), subtitle, _legend(sections))


def _legend(sections: list[Section]) -> str:
    """What the brackets and the grey mean, where there are any."""
    texts = [text for section in sections for table in section.texts.values() for text in table.to_numpy().ravel()]
    told = []
    if any(str(text).startswith("(") for text in texts) and not any(section.dense for section in sections):
        told.append("In brackets: not significant, p at least 0.05 after Holm's correction for all cells.")
    return " ".join([*told, *unmeasured(sections)])


def _accuracy(at_source: Row) -> str:
    return f"{at_source['accuracy_percent']:.1f} %"


def _sections(group: Group) -> list[Section]:
    """Before fine-tuning and after it."""
    compared = group.cells.dropna(subset="difference_points")
    compared = compared.assign(text=[_text(row) for row in compared.to_dict("records")])
    parts = by_tuning(compared, TITLES)
    return [section(group, cells, title, "difference_points", _accuracy) for title, cells in parts]


def _text(row: Row) -> str:
    """A cell in words, in brackets where it is not significant."""
    text = points(row["difference_points"]).replace("-", "\N{MINUS SIGN}")
    return text if is_significant(row) else f"({text})"


def _scale(sections: list[Section]) -> Scale:
    """As far below 0 as above it, to the next multiple of 4 points, by the root.

    It is marked where the root of the difference is at none, half and all of the largest.
    """
    largest = max(np.nanmax(np.abs(section.values)) for section in sections)
    limit = 4.0 * max(1, math.ceil(largest / 4))
    norm = FuncNorm((lambda x: np.sign(x) * np.sqrt(np.abs(x)), lambda y: np.sign(y) * y**2), -limit, limit)
    marks = {mark: f"{mark:g}".replace("-", "\N{MINUS SIGN}") for mark in (-limit, -limit / 4, 0, limit / 4, limit)}
    return Scale(norm, "RdBu", marks, "percentage points vs source accuracy")
