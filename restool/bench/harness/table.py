"""A record as text: a block of rows per case, for the terminal and in Markdown."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

Row = dict[str, Any]

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def text(record: dict[str, Any]) -> str:
    """For a terminal: aligned columns."""
    lines = [title(record), *context(record)]
    lines += ["", *("  ".join(cells).rstrip() for cells in _padded(overview(record)))] if overview(record) else []
    for heading, rows in blocks(record):
        lines += ["", heading, *("  ".join(cells).rstrip() for cells in _padded(table(rows)))]
    return "\n".join(lines)


def markdown(record: dict[str, Any]) -> str:
    """For a file: one section per case."""
    sections = [f"# {title(record)}", *context(record), EXPLANATION]
    sections += [_marked(overview(record))] if overview(record) else []
    for heading, rows in blocks(record):
        sections += [f"## {heading}", _marked(table(rows))]
    return "\n\n".join(sections) + "\n"


def _marked(rows: list[list[str]]) -> str:
    """A table in Markdown."""
    header, *body = _padded(rows)
    rule = ["-" * len(header[0]), *("-" * (len(cell) - 1) + ":" for cell in header[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *body))


EXPLANATION = (
    "Medians and quartiles of calls that the candidates took in turns after a warm-up. Speed-up: the first candidate's "
    "median over this one's. First call: with whatever is compiled, calibrated or allocated in it. Errors are against "
    "float64 and were checked before the timing. The floor is the least time for the counted operations at the peak of "
    "a float32 matrix product and the compulsory bytes at the bandwidth of a copy, by the cheapest method; what stays "
    "in a cache can be faster than that. Recurrences are not counted and have no floor."
)


def title(record: dict[str, Any]) -> str:
    """What was measured."""
    settings, batch = record["settings"], f"batch {record['settings']['batch']}"
    match record["kind"]:
        case "layer":
            channels = f"{settings['in_channels']} to {settings['out_channels']} channels"
            passes = "forward and backward" if settings["backward"] else "forward"
            layer = "continuous layer" if settings.get("dims", 2) == 2 else "causal continuous layer"
            return f"One {layer}, {channels}, {batch}, {passes}"
        case "step":
            models = _models(record)
            return f"A training step of {settings['model'] if len(models) < 2 else f'{len(models)} models'}, {batch}"
        case "eval":
            return f"Evaluation of {settings['model']} from {settings['source']} px, {batch}"
        case "scale":
            return f"A grid of {settings['models']} untrained models by workers, {settings['images']} test images"
    return f"Input pipeline, {settings['images']} images of {settings['stored']} px, {batch}"


def context(record: dict[str, Any]) -> list[str]:
    """Device, versions and ceilings; a load above 0 at the start means that something else was running."""
    found, machine = record["environment"], record["machine"]
    revision = f" ({found['git']})" if found["git"] else ""
    threads = f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}"
    versions = ", ".join(f"{name} {found[name]}" for name in ("torch", "torchvision", "python", "restool"))
    operations, moved = (machine[name] / 1e9 for name in ("operations_per_second", "bytes_per_second"))
    return [
        f"{found['device']}, {threads}, load {found['load']:.1f} at the start, {versions}{revision}",
        f"Measured ceilings: {operations:.4g} GFLOP/s, {moved:.3g} GB/s",
    ]


def blocks(record: dict[str, Any]) -> Iterable[tuple[str, list[Row]]]:
    """Heading and rows of every case."""
    several = len(_models(record)) > 1
    for rows in _cases(record):
        first = rows[0]
        place = f"{first['model']}, " if several else ""
        place += f"{first['size']} {first.get('unit', 'px')}"
        if "sigma" in first:
            place += f", sigma {first['sigma']}, {first['taps']} taps"
        if "floor" in first:
            arithmetic = first["floor_arithmetic"] / first["floor"]
            place += f"; floor {duration(first['floor'])}, {arithmetic:.0%} arithmetic"
        yield place, rows


def _cases(record: dict[str, Any]) -> Iterable[list[Row]]:
    """The rows of every case."""
    for _, group in groupby(record["rows"], key=lambda row: (row.get("model"), row["size"], row.get("sigma"))):
        yield list(group)


def _models(record: dict[str, Any]) -> list[str]:
    """Those of the rows, each once."""
    return list(dict.fromkeys(row["model"] for row in record["rows"] if "model" in row))


def overview(record: dict[str, Any]) -> list[list[str]]:
    """Header and a line for every case, where there are several models: the first candidate beside the second."""
    if len(_models(record)) < 2:
        return []
    lines = [["model", "input", "sigma", "plain way", "median", "beside it", "median", "speed-up"]]
    for rows in _cases(record):
        first = rows[0]
        place = [first["model"], f"{first['size']} {first.get('unit', 'px')}", first.get("sigma", "")]
        pairs = [cell for row in rows[:2] for cell in (_name(row), duration(row["median"]))]
        ratio = rows[1]["ratio"] if len(rows) > 1 else None
        lines.append([*place, *pairs, *[""] * (4 - len(pairs)), "" if ratio is None else f"{digits(ratio)}x"])
    return lines


def table(rows: list[Row]) -> list[list[str]]:
    """Header and body; columns that nothing was measured for are left out."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["errors"]))
    columns = ["candidate", "median", "quartiles", "calls", "speed-up", "first call"]
    columns += [f"{kind} error" for kind in kinds]
    optional = {
        "times_floor": "times floor",
        "images_per_second": "images/s",
        "cells_per_second": "cells/s",
        "overhead_per_cell": "overhead of a cell",
        "peak_memory": "peak memory",
        "start_memory": "before a step",
    }
    shown = {name: label for name, label in optional.items() if any(name in row for row in rows)}
    return [[*columns, *shown.values()], *(_cells(row, kinds, list(shown)) for row in rows)]


def _cells(row: Row, kinds: list[str], optional: list[str]) -> list[str]:
    cells = [
        _name(row),
        duration(row["median"]),
        f"{duration(row['low'])} .. {duration(row['high'])}",
        str(row["calls"]),
    ]
    cells += ["" if row["ratio"] is None else f"{digits(row['ratio'])}x", duration(row["first_call"])]
    cells += [f"{row['errors'][kind]:.0e}" if kind in row["errors"] else "" for kind in kinds]
    for column in optional:
        value = row.get(column)
        cells.append("" if value is None else _written(column, value))
    return cells


def _name(row: Row) -> str:
    return f"{row['candidate']} ({row['chosen']})" if row.get("chosen") else row["candidate"]


def _written(column: str, value: float) -> str:
    if column.endswith("memory"):
        return f"{value / 1e9:.2f} GB"
    if column == "overhead_per_cell":
        return f"{'-' if value < 0 else ''}{duration(abs(value))}"
    return f"{digits(value)}x" if column == "times_floor" else digits(value)


def duration(seconds: float) -> str:
    """Three digits and a unit: `1.23 ms`."""
    scale, unit = _unit(seconds)
    return f"{digits(seconds / scale)} {unit}"


def tick(seconds: float) -> str:
    """A round time with its unit: `20 ms`."""
    scale, unit = _unit(seconds)
    return f"{seconds / scale:g} {unit}"


def _unit(seconds: float) -> tuple[float, str]:
    return next((pair for pair in UNITS if seconds >= pair[0] * 0.9995), UNITS[-1])


def digits(value: float) -> str:
    """Three digits, never an exponent: 0.123, 1.23, 12.3, 123, 1234."""
    decimals = next((decimals for limit, decimals in ((9.995, 2), (99.95, 1)) if value < limit), 0)
    return f"{value:.{decimals if value >= 0.1 else 3}f}"


def _padded(rows: list[list[str]]) -> list[list[str]]:
    """Cells as wide as their column: names left, numbers right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(pairs)]
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]
