"""The report of a results folder: its tables, figures and page, made of its records alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from matplotlib.figure import Figure

from restool.files import write_files
from restool.report.cost import COSTS, draw_cost
from restool.report.curve import curves
from restool.report.figures import as_files
from restool.report.frame import read_records, summarise
from restool.report.groups import MANY, Group, split
from restool.report.heatmap import draw, draw_all
from restool.report.lines import draw_lines
from restool.report.measure_frame import with_values
from restool.report.measure_report import KINDS, measure_files
from restool.report.measures import Measure
from restool.report.outputs import consistency
from restool.report.page import FIGURES, Chapter, chapter, page
from restool.report.provenance import with_mixed
from restool.report.tables import csv, latex, markdown

PAGE = "report.html"
BESIDE = ("curves.csv", "consistency.csv")
"""Tables that only some folders have."""


@dataclass(frozen=True)
class FolderReport:
    """What is to be written of a folder: `files` by their names, and its chapter of a page."""

    out: Path
    files: dict[str, bytes]
    chapter: Chapter

    def write(self) -> list[Path]:
        """Write the files, and remove derived ones of what has no record any more."""
        return _write(self.out, self.files, FIGURES, BESIDE)


def make_report(out: Path) -> FolderReport:
    """Draw everything; nothing is written yet. Errors as in `restool.report.write_report`."""
    records = read_records(out)
    summary, beside = summarise(records), (curves(records), consistency(out, records))
    groups = with_values(with_mixed(split(summary, *beside), records), records, COSTS)
    texts = {"table.md": markdown(groups), "table.csv": csv(summary), "table.tex": latex(groups)}
    texts |= {name: csv(frame) for name, frame in zip(BESIDE, beside, strict=True) if len(frame)}
    together = draw_all(groups) if len(groups) > MANY else None
    figures = [_figures(group) if len(groups) <= MANY else {} for group in groups]
    own = chapter(out, records, groups, figures, together)
    texts[PAGE] = page([own])
    files = {name: text.encode() for name, text in texts.items()}
    files |= {} if together is None else as_files("heatmap", together)
    for group, each in zip(groups, figures, strict=True):
        for kind, figure in each.items():
            files |= as_files(kind if len(groups) == 1 else f"{kind}-{group.slug}", figure)
    return FolderReport(out, files, own)


def _figures(group: Group) -> dict[str, Figure]:
    """Those that a group has, by their kinds."""
    drawn = {"heatmap": draw(group), "lines": draw_lines(group), "cost": draw_cost(group)}
    return {kind: figure for kind, figure in drawn.items() if figure is not None}


def write_measures(outs: Sequence[Path], measure: Measure) -> list[Path]:
    """Write table, heat map and lines of a measure; errors as in `restool.report.write_report`."""
    figures = [f"{measure.name}-{kind}" for kind in KINDS]
    made = [(out, measure_files(out, measure)) for out in outs]
    return [path for out, files in made for path in _write(out, files, figures)]


def _write(out: Path, files: Mapping[str, bytes], figures: Iterable[str], others: Iterable[str] = ()) -> list[Path]:
    """Write files, and remove derived ones of what has no record any more: figures of these kinds, and others."""
    paths = write_files(out, files)
    patterns = [f"{kind}{rest}.{suffix}" for kind, rest, suffix in product(figures, ("", "-*"), ("png", "pdf"))]
    for path in [path for pattern in [*patterns, *others] for path in out.glob(pattern)]:
        if path.name not in files:
            path.unlink()
    return paths
