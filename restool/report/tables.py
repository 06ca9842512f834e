"""A summary as text: Markdown for people, LaTeX for papers, CSV for programs."""

import re
from collections.abc import Callable, Sequence

import pandas as pd

from restool.evidence import SIGNIFICANT
from restool.evidence.spelling import names
from restool.report.comparison import Comparison
from restool.report.groups import MANY, PLACES, Group, Row, accuracy, judged, plural, points, span, told_p, unit_of

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def csv(summary: pd.DataFrame) -> str:
    """A summary or its curves in long form, one row each; what was not measured is empty."""
    digits = [name for name in ("p", "p_holm") if name in summary]
    p_values = {name: summary[name].map(lambda p: float(f"{p:.6g}")) for name in digits}  # however small
    return summary.round(6).assign(**p_values).to_csv(index=False, lineterminator="\n")


def markdown(groups: Sequence[Group]) -> str:
    """One section per group: a row per source and protocol, a column per target resolution."""
    sections = ["# Accuracy at resolutions the model was not trained at", *index(groups)]
    for heading, group in zip(numbered(groups), groups, strict=True):
        sections += [f"## {heading}", literal(caption(group))]
        if group.targets:
            sections.append(aligned(rows(group)))
        if (group.curves["targets"] > 1).any():
            sections += [CURVES, aligned(curve_rows(group.curves))]
        if len(group.consistency):
            sections += [CONSISTENCY.format(noun=group.noun), aligned(consistency_rows(group.consistency))]
    return "\n\n".join(sections) + "\n"


def numbered(groups: Sequence[Group]) -> list[str]:
    """Headings in Markdown, those of many groups with their numbers."""
    told = [literal(group.heading) for group in groups]
    return [f"{number}. {heading}" for number, heading in enumerate(told, start=1)] if len(groups) > MANY else told


def index(groups: Sequence[Group]) -> list[str]:
    """The list of many groups that stands before them, or nothing."""
    return ["\n".join(numbered(groups))] if len(groups) > MANY else []


def literal(text: str) -> str:
    """Text that Markdown shows as it is, on one line: names of users may hold what it would take for markup."""
    return re.sub(r"([<>|`])", r"\\\1", " ".join(text.split()))


def latex(groups: Sequence[Group]) -> str:
    r"""One `table` per group for a document that says \usepackage{booktabs}."""
    return "\n".join(_latex_table(group) for group in groups if group.targets)


def rows(group: Group) -> list[list[str]]:
    """Header and body as text: accuracy in percent, in brackets the difference in points, each with its interval."""
    return grid(group.thinned, "source accuracy", accuracy, _cell)


def grid(group: Group, heading: str, own: Callable[[Row], str], cell: Callable[[Row], str]) -> list[list[str]]:
    """Header and body as text: a row per source and protocol, a column for the source and for every target.

    Args:
        group: of the table.
        heading: of the column for the source.
        own: what is said of a source, by its row of the summary.
        cell: what is said of a cell.
    """
    table = [["source", "protocol", heading, *(f"{target} {group.unit}" for target in group.targets)]]
    lines: dict[tuple[int, int, str], dict[int, Row]] = {}
    for row in group.cells.to_dict("records"):
        lines.setdefault((row["source"], row["finetune_epochs"], row["label"]), {})[row["target"]] = row
    compares = any(epochs > 0 for _, epochs, _ in lines)
    for (source, epochs, protocol), by_target in lines.items():
        if compares:
            protocol = f"{'after' if epochs else 'before'} fine-tuning ({protocol})"
        at_source = group.at_source(source)
        line = [f"{source} {group.unit}", protocol, "" if at_source is None else own(at_source)]
        seeds = max(row["seeds"] for row in by_target.values()) if at_source is None else at_source["seeds"]
        for target in group.targets:
            found = by_target.get(target)
            line.append("" if found is None else cell(found) + fewer(found, seeds))
        table.append(line)
    return table


def comparison(found: Comparison) -> str:
    """The verdict, and below it what it is made of: a row per cell."""
    places = [str(name) for name in found.rows if name in PLACES or str(name).startswith(("protocol", "finetune_"))]
    table = [[*places, "n", "seeds", "A", "B", "B - A, points", "p", "p (Holm)"]]
    for row in found.rows.to_dict("records"):
        half = (row["high_points"] - row["low_points"]) / 2
        real = "" if row["p_holm"] < SIGNIFICANT else " n.s."
        table.append(
            [
                *(f"{row[name]} {found.unit}" if name in PLACES else str(row[name]) for name in places),
                *(str(row["n"]), str(row["seeds"])),
                *(f"{row['first_percent']:.1f}", f"{row['second_percent']:.1f}"),
                f"{points(row['difference_points'])} ± {half:.1f}{real}",
                *(told_p(row[name]).removeprefix("= ") for name in ("p", "p_holm")),
            ]
        )
    sides = f"A is {found.first}, B is {found.second}. Accuracy in percent; B - A paired by seed and test {found.noun}."
    sides += f" {INTERVAL.format(noun=found.noun)}"
    left = f" Without a partner: {plural(found.left_out, 'record')}." if found.left_out else ""
    return "\n\n".join([found.verdict, f"{sides} {MARK}{left}", aligned(table, left=len(places))])


def caption(group: Group) -> str:
    """What the numbers of a group mean, in sentences."""
    measured = group.cells if group.targets else group.sources
    seeds, tested = span(measured["seeds"], "seed"), span(measured["n"], f"test {group.noun}")
    text = f"Accuracy in percent on {tested}, {seeds}"
    if group.targets:
        text += "; in brackets the difference from the source accuracy in percentage points, paired by seed and "
        text += group.noun
    else:
        at_source = [f"{accuracy(row)} at {row['source']} {group.unit}" for row in group.sources.to_dict("records")]
        text += f": {', '.join(at_source)}. No other resolution has been measured yet"
    text += f". {INTERVAL.format(noun=group.noun)}"
    if group.targets:
        text += f" {MARK} Blank: not measured.{group.left_out}"
    text += f" {group.mixed}." if group.mixed else ""
    return f"{text} Settings: {group.settings}." if group.settings else text


def curve_rows(curves: pd.DataFrame, first: Sequence[str] = ()) -> list[list[str]]:
    """Header and body of the table of curves with several targets; `first` are columns to begin with."""
    table = [[*first, "source", "protocol", "targets", "area", "worst", "at", "rank correlation"]]
    for row in curves[curves["targets"] > 1].to_dict("records"):
        half = {name: (row[f"{name}_high_points"] - row[f"{name}_low_points"]) / 2 for name in ("area", "worst")}
        unit = unit_of(row)
        line = [*(row[name] for name in first), f"{row['source']} {unit}", row["label"], str(row["targets"])]
        line.append(f"{points(row['area_points'])} ± {half['area']:.1f}")
        line += [f"{points(row['worst_points'])} ± {half['worst']:.1f}", f"{row['worst_target']:.0f} {unit}"]
        low, high = row["rank_correlation_low"], row["rank_correlation_high"]
        known = not pd.isna(row["rank_correlation"])
        line.append(f"{row['rank_correlation']:+.2f} ({low:+.2f} to {high:+.2f})" if known else "")
        table.append(line)
    return table


def consistency_rows(consistency: pd.DataFrame) -> list[list[str]]:
    """Header and body of the table of agreement with the source: a row per cell."""
    figures = {"agreement": "percent", "divergence": "nats", "overconfidence": "points"}
    table = [["source", "protocol", "target", "n", "seeds", "agreement", "divergence", "overconfidence", "ECE"]]
    for row in consistency.to_dict("records"):
        sizes = [f"{row[name]} {unit_of(row)}" for name in PLACES]
        line = [sizes[0], row["label"], sizes[1], str(row["n"]), str(row["seeds"])]
        for figure, unit in figures.items():
            value, low, high = (row[name] for name in names(figure, unit))
            told = points(value) if unit == "points" else f"{value:.{3 if unit == 'nats' else 1}f}"
            line.append("" if pd.isna(value) else f"{told} ± {(high - low) / 2:.{3 if unit == 'nats' else 1}f}")
            if figure == "overconfidence" and not pd.isna(value):
                line[-1] += f" ({points(row['source_overconfidence_points'])})"
        error, own = row["calibration_error_points"], row["source_calibration_error_points"]
        table.append([*line, "" if pd.isna(error) else f"{error:.1f} ({own:.1f})"])
    return table


CONSISTENCY = (
    "Consistency with the model's own answers at the source. Agreement: percent of test {noun}s answered alike; "
    "divergence: mean KL divergence of the output distribution from that at the source, in nats; overconfidence: mean "
    "confidence minus accuracy, in points; ECE: expected calibration error (15 bins), in points, which is never below "
    "the overconfidence and has no interval, for it is biased upward. In brackets the same at the source."
)
CURVES = (
    "The curve over the targets in one number. Area: mean difference from the source accuracy along the logarithm of "
    "size; worst: the least difference, with the interval of that cell; both in points. Rank correlation (Spearman) of "
    "the difference with the size, with its bootstrap interval. Of the seeds that all targets have."
)
INTERVAL = (
    "After ± half of the 95 % interval: over seeds and test {noun}s together; for one seed over test {noun}s alone, "
    "which tells nothing of another training."
)
MARK = "n.s.: not significant, p at least 0.05 after Holm's correction for all cells of the table."


def fewer(row: Row, seeds: int) -> str:
    """How many seeds a cell has, where it has fewer than that many."""
    return f" [{plural(row['seeds'], 'seed')}]" if row["seeds"] < seeds else ""


def _cell(row: Row) -> str:
    told = judged(row)
    return accuracy(row) + (f" ({told})" if told else "")


def aligned(table: list[list[str]], left: int = 2) -> str:
    """A Markdown table that is readable as plain text too: words left, numbers right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        [text.ljust(width) if index < left else text.rjust(width) for index, (text, width) in enumerate(pairs)]
        for pairs in (list(zip(line, widths, strict=True)) for line in table)
    ]
    rule = ["-" * width if index < left else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _latex_table(group: Group) -> str:
    header, *body = [" & ".join(map(escape, line)) + r" \\" for line in rows(group)]
    lines = [r"\begin{table}", r"  \centering", rf"  \caption{{{escape(f'{group.heading}. {caption(group)}')}}}"]
    lines += [rf"  \begin{{tabular}}{{ll{'r' * (len(group.targets) + 1)}}}", r"    \toprule", f"    {header}"]
    lines += [r"    \midrule", *(f"    {line}" for line in body), r"    \bottomrule"]
    return "\n".join([*lines, r"  \end{tabular}", r"\end{table}", ""])


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; a minus before a digit in brackets becomes a mathematical one."""
    printed = "".join(LATEX.get(character, character) for character in text)
    return re.sub(r"\(-(?=\d)", "($-$", printed)
