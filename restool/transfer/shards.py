"""A grid in parts, for machines that share nothing: each part is a study of its own."""

import re
from collections.abc import Sequence
from typing import TypeVar

from restool.errors import ArgumentError
from restool.transfer.cells import Cell

T = TypeVar("T")

MOST_SHARDS = 100_000


def shard_of(text: str | None) -> tuple[int, int]:
    """The numbers i and N of "i/N", which counts from 1; all of one for None.

    Raises:
        ArgumentError: the text is none.
    """
    if text is None:
        return 1, 1
    typed = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text, re.ASCII)
    number, of = (int(typed[1]), int(typed[2])) if typed else (0, 0)
    if not 1 <= number <= of <= MOST_SHARDS:
        raise ArgumentError("shard", f"must be I/N with I from 1 to N and N up to {MOST_SHARDS:,}, such as 2/4", text)
    return number, of


def part_of(cells: Sequence[Cell], number: int, of: int) -> list[Cell]:
    """One of so many parts of a grid, in its order; together they are the grid, and no cell is in two.

    Where there are at least as many source models as parts, a part is whole source models, of which the parts have
    equally many but for one; else it is cells, likewise, and several parts train the same source model, to the same
    bytes, unless they share a folder.

    Raises:
        ArgumentError: there are more parts than cells.
    """
    if of > len(cells):
        raise ArgumentError(
            "shard", f"must be one of at most {len(cells)}, as many as there are cells", f"{number}/{of}"
        )
    runs = list(dict.fromkeys(cell.run for cell in cells))
    if of <= len(runs):
        chosen = set(_part(runs, number, of))
        return [cell for cell in cells if cell.run in chosen]
    return list(_part(cells, number, of))


def _part(items: Sequence[T], number: int, of: int) -> Sequence[T]:
    return items[len(items) * (number - 1) // of : len(items) * number // of]
