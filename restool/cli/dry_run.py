"""`--dry-run`: the cells of a study, what is already done, and an estimate of the rest."""

from typing import TYPE_CHECKING

from restool.cli.output import models_print_on_stderr, print_json

if TYPE_CHECKING:
    from restool.transfer import Study


def print_plan(study: "Study", *, as_json: bool) -> None:
    """Print every cell with its state, and the time the missing ones would take on this device."""
    from restool.transfer import estimate_seconds

    missing = set(study.missing())
    done = len(study.cells) - len(missing)
    with models_print_on_stderr():
        seconds = estimate_seconds(study)
    if as_json:
        rows = [{"key": cell.key, "done": cell not in missing, **cell.fields} for cell in study.cells]
        print_json({"cells": rows, "done": done, "estimated_seconds": round(seconds, 1)})
        return
    for cell in study.cells:
        print(f"{'missing' if cell in missing else 'done   '}  {cell}")
    print(f"{done} of {len(study.cells)} cells are done; the rest takes about {_duration(seconds)} on this device")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
