"""`--dry-run`: the cells of a study, what is already done, and an estimate of the rest."""

import json
from typing import TYPE_CHECKING

from restool.transfer.estimate import estimate_seconds
from restool.transfer.grid import describe

if TYPE_CHECKING:
    from restool.transfer import Cell, Study


def print_plan(study: "Study", cells: "list[Cell]", *, as_json: bool) -> None:
    """Print every cell with its state, and the time the missing ones would take on this device."""
    done = [study.folder.record(cell).exists() for cell in cells]
    seconds = estimate_seconds(study, [cell for cell, is_done in zip(cells, done, strict=True) if not is_done])
    if as_json:
        rows = [{"key": cell.key, "done": is_done, **cell.fields} for cell, is_done in zip(cells, done, strict=True)]
        print(json.dumps({"cells": rows, "done": sum(done), "estimated_seconds": round(seconds, 1)}, indent=1))
        return
    for cell, is_done in zip(cells, done, strict=True):
        print(f"{'done   ' if is_done else 'missing'}  {describe(cell)}")
    print(f"{sum(done)} of {len(cells)} cells are done; the rest takes about {_duration(seconds)} on this device")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
