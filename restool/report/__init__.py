"""Tables and heat maps as a pure function of records: the same records give the same bytes."""

from pathlib import Path

from restool.files import write_atomically
from restool.report.comparison import Comparison, compare, parse_sides
from restool.report.frame import read_records, summarise
from restool.report.groups import split
from restool.report.tables import csv, latex, markdown

__all__ = ["Comparison", "compare", "parse_sides", "read_records", "summarise", "write_report"]


def write_report(out: Path) -> list[Path]:
    """Write `table.md`, `table.csv`, `table.tex` and the heat maps of the records in `out/records`.

    A heat map is `heatmap.png` and `heatmap.pdf`, or `heatmap-<settings>.*` where the records have several settings.
    Heat maps of settings that have no record any more are removed. Nothing is written unless all of it could be made.

    Returns:
        The files written.

    Raises:
        MissingDataError: there are no records.
        UsageError: a record is damaged.
    """
    from restool.report.heatmap import draw, render  # seaborn takes a second that only figures need

    summary = summarise(read_records(out))
    groups = split(summary)
    texts = {"table.md": markdown(groups), "table.csv": csv(summary), "table.tex": latex(groups)}
    files = {name: text.encode() for name, text in texts.items()}
    for group in groups:
        figure = draw(group)
        name = "heatmap" if len(groups) == 1 else f"heatmap-{group.slug}"
        if figure is not None:
            files |= {f"{name}.{suffix}": render(figure, suffix) for suffix in ("png", "pdf")}
    for name, content in files.items():
        write_atomically(out / name, content)
    for pattern in ("heatmap.png", "heatmap.pdf", "heatmap-*.png", "heatmap-*.pdf"):
        for path in out.glob(pattern):
            if path.name not in files:
                path.unlink()
    return [out / name for name in files]
