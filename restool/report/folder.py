"""The report of a results folder: its tables, figures and page, made of its records alone."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

from restool.files import write_files
from restool.report.curve import curves
from restool.report.figures import as_files
from restool.report.frame import read_records, summarise
from restool.report.groups import split
from restool.report.heatmap import draw
from restool.report.lines import draw_lines
from restool.report.outputs import consistency
from restool.report.page import FIGURES, Chapter, chapter, page
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
        paths = write_files(self.out, self.files)
        figures = [f"{kind}{rest}.{suffix}" for kind, rest, suffix in product(FIGURES, ("", "-*"), ("png", "pdf"))]
        for path in [path for pattern in [*figures, *BESIDE] for path in self.out.glob(pattern)]:
            if path.name not in self.files:
                path.unlink()
        return paths


def make_report(out: Path) -> FolderReport:
    """Draw everything; nothing is written yet. Errors as in `restool.report.write_report`."""
    records = read_records(out)
    summary, beside = summarise(records), (curves(records), consistency(out, records))
    groups = split(summary, *beside)
    texts = {"table.md": markdown(groups), "table.csv": csv(summary), "table.tex": latex(groups)}
    texts |= {name: csv(frame) for name, frame in zip(BESIDE, beside, strict=True) if len(frame)}
    drawn = [{"heatmap": draw(group), "lines": draw_lines(group)} for group in groups]
    figures = [{kind: figure for kind, figure in each.items() if figure is not None} for each in drawn]
    own = chapter(out, records, groups, figures)
    texts[PAGE] = page([own])
    files = {name: text.encode() for name, text in texts.items()}
    for group, each in zip(groups, figures, strict=True):
        for kind, figure in each.items():
            files |= as_files(kind if len(groups) == 1 else f"{kind}-{group.slug}", figure)
    return FolderReport(out, files, own)
