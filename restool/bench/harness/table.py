"""A record as text: a block of rows per case, for the terminal and in Markdown."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

Row = dict[str, Any]

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def text(record: dict[str, Any]) -> str:
    """For a terminal: aligned columns."""
    lines = [title(record), *context(record)]
    for heading, rows in blocks(record):
        lines += ["", heading, *("  ".join(cells).rstrip() for cells in _padded(table(rows)))]
    return "\n".join(lines)


def markdown(record: dict[str, Any]) -> str:
    """For a file: one section per case."""
    sections = [f"# {title(record)}", *context(record), EXPLANATION]
    for heading, rows in blocks(record):
        header, *body = _padded(table(rows))
        rule = ["-" * len(header[0]), *("-" * (len(cell) - 1) + ":" for cell in header[1:])]
        sections += [f"## {heading}", "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *body))]
    return "\n\n".join(sections) + "\n"


EXPLANATION = (
    "Medians and quartiles of calls that the candidates took in turns after a warm-up. Speed-up: the first candidate's "
    "median over this one's. First call: with whatever is compiled, calibrated or allocated in it. Errors are against "
    "float64 and were checked before the timing. The floor is the least time for the counted operations at the peak of "
    "a float32 matrix product and the compulsory bytes at the bandwidth of a copy, by the cheapest method; what stays "
    "in a cache can be faster than that."
)


def title(record: dict[str, Any]) -> str:
    """What was measured."""
    settings, batch = record["settings"], f"batch {record['settings']['batch']}"
    match record["kind"]:
        case "layer":
            channels = f"{settings['in_channels']} to {settings['out_channels']} channels"
            passes = "forward and backward" if settings["backward"] else "forward"
            return f"One continuous layer, {channels}, {batch}, {passes}"
        case "step":
            return f"A training step of {settings['model']}, {batch}"
        case "eval":
            return f"Evaluation of {settings['model']} from {settings['source']} px, {batch}"
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
    for _, group in groupby(record["rows"], key=lambda row: (row["size"], row.get("sigma"))):
        rows = list(group)
        first = rows[0]
        place = f"{first['size']} px"
        if "sigma" in first:
            place += f", sigma {first['sigma']}, {first['taps']} taps"
        arithmetic = first["floor_arithmetic"] / first["floor"]
        yield f"{place}; floor {duration(first['floor'])}, {arithmetic:.0%} arithmetic", rows


def table(rows: list[Row]) -> list[list[str]]:
    """Header and body; columns that nothing was measured for are left out."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["errors"]))
    columns = ["candidate", "median", "quartiles", "calls", "speed-up", "first call"]
    columns += [f"{kind} error" for kind in kinds] + ["times floor"]
    optional = {"images_per_second": "images/s", "peak_memory": "peak memory", "start_memory": "before a step"}
    shown = {name: label for name, label in optional.items() if any(name in row for row in rows)}
    return [[*columns, *shown.values()], *(_cells(row, kinds, list(shown)) for row in rows)]


def _cells(row: Row, kinds: list[str], optional: list[str]) -> list[str]:
    name = f"{row['candidate']} ({row['chosen']})" if row.get("chosen") else row["candidate"]
    cells = [name, duration(row["median"]), f"{duration(row['low'])} .. {duration(row['high'])}", str(row["calls"])]
    cells += ["" if row["ratio"] is None else f"{digits(row['ratio'])}x", duration(row["first_call"])]
    cells += [f"{row['errors'][kind]:.0e}" if kind in row["errors"] else "" for kind in kinds]
    cells.append(f"{digits(row['times_floor'])}x")
    for column in optional:
        value = row.get(column)
        written = "" if value is None else f"{value / 1e9:.2f} GB" if column.endswith("memory") else digits(value)
        cells.append(written)
    return cells


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
