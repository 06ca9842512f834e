"""One map of many settings: a row for each, under its number, and a panel for every protocol and source."""

from collections.abc import Callable, Sequence

import pandas as pd

from restool.report.groups import Group, Row, thinned
from restool.report.maps import Section

ROWS = "rows are the settings by their numbers"
LONGEST = 18
"""Of a model's name a row shows so many letters."""


def overview(groups: Sequence[Group], value: str, told: Callable[[Row], str]) -> list[Section]:
    """Sections of a map of many groups, one for each data set and unit of sizes; of too many panels it has a few.

    Args:
        groups: numbered from 1, as a report lists them.
        value: column of what is drawn; cells without it are left out.
        told: what a cell says where there is room.
    """
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for number, group in enumerate(groups, start=1):
        cells = group.cells.dropna(subset=value)
        if len(cells):
            text = [told(row) for row in cells.to_dict("records")]
            numbered = cells[["model", "source", "label", "target", value]].assign(number=number, text=text)
            parts.setdefault((str(cells["dataset"].iloc[0]), group.unit), []).append(numbered)
    return [_section(dataset, unit, pd.concat(cells), value) for (dataset, unit), cells in parts.items()]


def _section(dataset: str, unit: str, cells: pd.DataFrame, value: str) -> Section:
    panels = dict(list(cells.groupby(["source", "label"], sort=False)))
    shown = {key: panels[key] for key in thinned(list(panels))}
    numbers, targets = sorted(set(cells["number"])), sorted(set(cells["target"]))
    names = _names(cells)

    def tables(column: str) -> dict[str, pd.DataFrame]:
        return {
            f"{label} from {source} {unit}": part.pivot(index="number", columns="target", values=column)
            .reindex(index=numbers, columns=targets)
            .rename(index=names)
            for (source, label), part in shown.items()
        }

    title = dataset if len(shown) == len(panels) else f"{dataset}: {len(shown)} of {len(panels)} sources and protocols"
    return Section(title, tables(value), tables("text"), unit, rows="setting")


def _names(cells: pd.DataFrame) -> dict[int, str]:
    """What rows are called by their numbers: by their models too, where these differ."""
    models = dict(zip(cells["number"], cells["model"], strict=True))
    if len(set(models.values())) == 1:
        return {}
    return {
        number: f"{model if len(model) <= LONGEST else model[: LONGEST - 1] + '…'}  {number}"
        for number, model in models.items()
    }
