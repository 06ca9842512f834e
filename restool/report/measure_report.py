"""The report of one measure of a results folder: table, heat map and lines, made of its records alone."""

from collections.abc import Sequence
from pathlib import Path

from restool.errors import MissingDataError
from restool.report.curve import curves
from restool.report.figures import as_files
from restool.report.frame import read_records, summarise
from restool.report.groups import MANY, Group, Row, span, split
from restool.report.lines import draw_lines
from restool.report.measure_frame import measured, with_measure
from restool.report.measure_map import draw_all_maps, draw_map
from restool.report.measures import Measure
from restool.report.tables import aligned, csv, grid, index, literal, numbered

KINDS = ("heatmap", "lines")


def measure_files(out: Path, measure: Measure) -> dict[str, bytes]:
    """What there is to write of a measure, by name: NAME-table.md and .csv, NAME-heatmap.* and NAME-lines.*.

    Raises:
        MissingDataError: no record tells it.
    """
    records = read_records(out)
    found = measured(records, measure)
    if not found["seeds"].any():
        raise MissingDataError(f"no record of {out} tells {measure.name}; {measure.needs}")
    groups = with_measure(split(summarise(records), curves(records)), records, measure)
    texts = {"table.md": markdown(groups, measure), "table.csv": csv(found)}
    files = {name: text.encode() for name, text in texts.items()}
    if len(groups) > MANY and (together := draw_all_maps(groups, measure)) is not None:
        files |= as_files(KINDS[0], together)
    for group in groups if len(groups) <= MANY else ():
        slug = "" if len(groups) == 1 else f"-{group.slug}"
        figures = zip(KINDS, (draw_map(group, measure), draw_lines(group, measure)), strict=True)
        for kind, figure in figures:
            files |= {} if figure is None else as_files(f"{kind}{slug}", figure)
    return {f"{measure.name}-{name}": content for name, content in files.items()}


def markdown(groups: Sequence[Group], measure: Measure) -> str:
    """One section per group: a row per source and protocol, a column per target resolution."""
    title = measure.label(groups[0].noun)
    sections = [f"# {title[0].upper()}{title[1:]}", *index(groups)]
    for heading, group in zip(numbered(groups), groups, strict=True):
        sections += [f"## {heading}", literal(caption(group, measure))]
        sections += [aligned(rows(group, measure))] if group.targets else []
    return "\n\n".join(sections) + "\n"


def rows(group: Group, measure: Measure) -> list[list[str]]:
    """Header and body as text: the value, in brackets its interval where it has one of some length."""
    columns = measure.columns

    def told(row: Row) -> str:
        value, low, high = (row[name] for name in columns)
        return measure.told(value) + (f" ({measure.told(low)} to {measure.told(high)})" if low < high else "")

    return grid(group.thinned, "at the source", told, told)


def caption(group: Group, measure: Measure) -> str:
    """What the numbers of a group mean, in sentences."""
    value = measure.columns[0]
    shown = group.cells if group.targets else group.sources
    title = measure.label(group.noun)
    text = f"{title[0].upper()}{title[1:]}; {span(shown['n'], f'test {group.noun}')}, {span(shown['seeds'], 'seed')}"
    if not group.targets:
        own = [f"{measure.told(row[value])} at {row['source']} {group.unit}" for row in shown.to_dict("records")]
        text += f": {', '.join(own)}"
    text += f"; {measure.direction}."
    if measure.of_machine:
        text += f" Measured on {shown['device'].iloc[0] or 'an unnamed device'}."
    if shown["seeds"].max() > 1:
        text += " In brackets Student's 95 % interval over seeds."
    text += f" Blank: not measured.{group.left_out}" if group.targets else ""
    return f"{text} Settings: {group.settings}." if group.settings else text
