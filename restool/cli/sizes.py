"""Sizes as options, and those that are usual for a data set where none are typed."""

from functools import partial
from typing import Annotated

from restool.arguments import LARGEST_SIZE, SMALLEST_SIZE
from restool.cli.option import option
from restool.cli.parsing import sizes, train_sizes, whole_number
from restool.errors import ArgumentError

_measured = partial(option, "What to measure")

TrainSizes = Annotated[
    str | None,
    _measured(
        "--train",
        "Source sizes in pixels or steps: 16, or 16,20, or 16..24:4; 12+14+16 is one model.",
        "SIZES",
        show_default="16 for images, 256 for tones; see `restool ls datasets`",
    ),
]
TestSizes = Annotated[
    str | None,
    _measured(
        "--test",
        "Target sizes in pixels or steps: 28..36, 28..36:2 (every second), or 28,32.",
        "SIZES",
        show_default="28..36 for images, 128,512 for tones; see `restool ls datasets`",
    ),
]
OneTestSize = Annotated[
    str | None,
    _measured(
        "--test",
        "Target sizes in pixels or steps: 32, or 28,32, or 28..36:2 (every second).",
        "SIZES",
        show_default="32 for images, 512 for tones; see `restool ls datasets`",
    ),
]
_target = partial(option, None, "--to", "Target resolution in pixels or steps.", "N", parser=whole_number)
TargetSize = Annotated[int | None, _target(show_default="32 for images, 512 for tones; see `restool ls datasets`")]
DoubledSize = Annotated[int | None, _target(show_default="twice the size in training")]


def sources_of(train: str | None, dataset: str) -> tuple[int | tuple[int, ...], ...]:
    """Source sizes."""
    from restool.data import usual

    return (usual(dataset).train,) if train is None else train_sizes(train)


def targets_of(test: str | None, dataset: str, *, one: bool = False) -> tuple[int, ...]:
    """Target sizes; `one` tells whether a single one is usual."""
    from restool.data import usual

    if test is not None:
        return sizes(test, "test")
    return (usual(dataset).target,) if one else usual(dataset).test


def target_of(to: int | None, dataset: str) -> int:
    """One target size.

    Raises:
        ArgumentError: one that nothing can have.
    """
    from restool.data import usual

    return usual(dataset).target if to is None else require_size(to)


def require_size(to: int) -> int:
    """A target size; ArgumentError for one that nothing can have."""
    if not SMALLEST_SIZE <= to <= LARGEST_SIZE:
        raise ArgumentError("to", f"must be from {SMALLEST_SIZE} to {LARGEST_SIZE:,}", to)
    return to
