"""`--dry-run`: the cells of a study, what is already done, and an estimate of the rest."""

import math
from typing import TYPE_CHECKING

from restool.cli.output import models_print_on_stderr, print_json

if TYPE_CHECKING:
    from restool.transfer import Study

UNITS = {"s": 1, "min": 60, "h": 3600, "days": 86_400}
FEWEST = 1.5
"""A time is told in the largest unit of which it has so many."""


def print_plan(study: "Study", *, as_json: bool) -> None:
    """Print every cell with its state, then the time that the missing ones would take on this device."""
    from restool.transfer import estimate_seconds

    missing = {cell.key for cell in study.missing()}
    done = len(study.cells) - len(missing)
    if as_json:
        with models_print_on_stderr():
            low, likely, high = estimate_seconds(study)
        rows = [{"key": cell.key, "done": cell.key not in missing, **cell.fields} for cell in study.cells]
        told = {"estimated_seconds": likely, "estimated_low_seconds": low, "estimated_high_seconds": high}
        numbers = {name: round(seconds, 1) if math.isfinite(seconds) else None for name, seconds in told.items()}
        print_json({"cells": rows, "done": done, **numbers})
        return
    for cell in study.cells:
        print(f"{'missing' if cell.key in missing else 'done   '}  {cell}")
    print(f"{done} of {len(study.cells)} cells are done", end="", flush=True)
    with models_print_on_stderr():
        low, _, high = estimate_seconds(study)
    print(f"; the rest takes {duration(low, high)} on this device")


def duration(low: float, high: float) -> str:
    """A range of seconds in words; of a range without an end its beginning."""
    if math.isinf(high):
        unit = _unit(low)
        return f"more than {_count(low, unit)} {unit}"
    unit = _unit(high)
    counts = dict.fromkeys(_count(seconds, unit) for seconds in (low, high))
    return f"about {' to '.join(counts)} {unit}"


def _unit(seconds: float) -> str:
    return next((unit for unit in reversed(UNITS) if seconds >= FEWEST * UNITS[unit]), "s")


def _count(seconds: float, unit: str) -> str:
    """So many of a unit, with a decimal below ten."""
    value = seconds / UNITS[unit]
    return f"{value:.0f}" if value >= 9.95 or unit == "s" else f"{value:.1f}".removesuffix(".0")
