"""Heat maps of a measure: its values, darker where they are better, before fine-tuning and after it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from restool.report.groups import Group, Row
from restool.report.maps import Scale, Section, by_tuning, compose, section, told_sources, unmeasured
from restool.report.measures import Measure
from restool.report.overview import ROWS, overview


def draw_map(group: Group, measure: Measure) -> Figure | None:
    """The heat map of a group, or None where no target has the measure; panels as in `restool.report.heatmap.draw`.

    Args:
        group: of `restool.report.measure_frame.with_measure`.
        measure: what to draw.
    """
    value = measure.columns[0]

    def told(row: Row) -> str:
        return measure.told(row[value])

    cells = group.cells.assign(text=[told(row) for row in group.cells.to_dict("records")])
    title = measure.label(group.noun)
    titles = (f"Zero-shot: {title}", f"After fine-tuning at the target: {title}")
    sections = [section(group, part, heading, value, told) for heading, part in by_tuning(cells, titles)]
    if not sections:
        return None
    return compose(
        group.heading,
        sections,
        _scale(sections, measure),
        told_sources(group, told, "value"),
        " ".join(unmeasured(sections)),
    )


def draw_all_maps(groups: Sequence[Group], measure: Measure) -> Figure | None:
    """One map of many groups, or None where no target has the measure; see `restool.report.overview`."""
    value = measure.columns[0]
    sections = overview(groups, value, lambda row: measure.told(row[value]))
    if not sections:
        return None
    title = measure.label(groups[0].noun)
    subtitle = f"{title[0].upper()}{title[1:]}; {ROWS}"
    legend = " ".join(unmeasured(sections))
    return compose(f"{len(groups)} settings", sections, _scale(sections, measure), subtitle, legend)


def _scale(sections: list[Section], measure: Measure) -> Scale:
    """From the least to the largest value; counts by their logarithm."""
    values = np.concatenate([each.values for each in sections])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    marks = {low: measure.told(low), high: measure.told(high)}
    low, high = (low, high) if low < high else (low / 1.1, high * 1.1 or 1.0)
    norm = Normalize(low, high) if measure.unit else LogNorm(low, high)
    return Scale(norm, "Blues" if measure.higher_is_better else "Blues_r", marks, measure.direction)
