"""What is typed, as values: numbers, lists and ranges of numbers, names."""

import re
from collections.abc import Sequence

import typer

from restool.arguments import LARGEST_SIZE, SMALLEST_SIZE
from restool.errors import ArgumentError

MOST_VALUES, MOST_DIGITS = 1000, 1000
"""A range of more values, or a number of more digits, is taken for a slip of the finger."""


def whole_number(text: str) -> int:
    """The number that was typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"it takes a whole number, but got {text!r}") from None


def number(text: str) -> float:
    """The number that was typed."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"it takes a number, but got {text!r}") from None


def names(text: str) -> tuple[str, ...]:
    """Comma-separated names, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def model_names(text: str) -> tuple[str, ...]:
    """Comma-separated names of models, each once; the commas of `flexnet[4,6]` are its own."""
    return tuple(dict.fromkeys(name.strip() for name in re.split(r",(?![^\[]*\])", text)))


def sizes(text: str, field: str) -> tuple[int, ...]:
    """Sizes in pixels, see `numbers`."""
    return numbers(text, field, least=SMALLEST_SIZE, most=LARGEST_SIZE)


def train_sizes(text: str) -> tuple[int | tuple[int, ...], ...]:
    """Source sizes: sizes and ranges, `16,20`, and models that are trained at several sizes each, `12+14+16`."""
    found: list[int | tuple[int, ...]] = []
    for part in text.split(","):
        if "+" in part:
            found.append(sizes(part.replace("+", ","), "train"))
        else:
            found += sizes(part, "train")
    return tuple(found)


def numbers(text: str, field: str, *, least: int, most: int) -> tuple[int, ...]:
    """Numbers of a list of values and ranges: `16,20`, `28..36` (inclusive, step 1), `28..36:2` (step 2).

    Args:
        text: as typed.
        field: argument that it was typed for.
        least: smallest value allowed.
        most: largest value allowed.

    Returns:
        The distinct values in ascending order.

    Raises:
        ArgumentError: not a list of numbers and ranges, a range that runs backwards, or a value that is not allowed.
    """
    values: set[int] = set()
    for part in text.split(","):
        values.update(_parse_range(part.strip(), field))
    if min(values) < least:
        raise ArgumentError(field, f"must hold values of at least {least}", min(values))
    if max(values) > most:
        raise ArgumentError(field, f"must hold values of at most {most:,}", max(values))
    return tuple(sorted(values))


def real_numbers(text: str, field: str) -> tuple[float, ...]:
    """Comma-separated numbers; ArgumentError for anything else."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(field, "must be numbers such as 0.5 or 0.485,0.456,0.406", text) from None


def _parse_range(part: str, field: str) -> Sequence[int]:
    bounds, _, step = part.partition(":")
    first, dots, last = bounds.partition("..")
    found = [first, *([last] if dots else []), *([step] if ":" in part else [])]
    if not all(number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS for number in found) or (
        ":" in part and not dots
    ):
        raise ArgumentError(field, "must be numbers and ranges such as 16,20 or 28..36 or 28..36:2", part)
    if not dots:
        return [int(first)]
    if int(last) < int(first) or (step and int(step) < 1):
        raise ArgumentError(field, "must be ranges that run upwards by 1 or more, such as 28..36:2", part)
    count = (int(last) - int(first)) // int(step or 1) + 1  # len() of a range overflows
    if count > MOST_VALUES:
        raise ArgumentError(field, f"must be ranges of at most {MOST_VALUES} values", part, f"it has {count}")
    return range(int(first), int(last) + 1, int(step or 1))
