"""Settings that a user may change: what each does in words, the values it takes, and what is said of the others.

A dataclass annotates such a field with a `Knob`, `epochs: Annotated[int, Knob("Passes over the images.", least=0)]`,
and calls `check_knobs(self)` when it is made. The command line makes its option of the same annotation.
"""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from restool.errors import ArgumentError, UsageError

SMALLEST_SIZE, LARGEST_SIZE = 4, 65_536
"""Images are not narrower than the first number of pixels, and sequences not longer than the second of steps."""
LARGEST_WIDTH = 16_384
"""No network of today has more channels or units in a layer, or more layers; nor would its weights fit a memory."""
LARGEST_SEED = 2**32 - 1
MOST_EPOCHS = 1_000_000
MOST_IMAGES = 2**31 - 1


@dataclass(frozen=True)
class Knob:
    """One setting. Bounds are for numbers; words that are allowed stand in the field's own `Literal` type.

    Attributes:
        help: what it does, one sentence.
        metavar: what a value is called in the help, such as "N".
        least: smallest value.
        above: every value is larger than this.
        most: largest value.
        below: every value is smaller than this.
        because: reason of the smallest value.
        default: what the help tells of a default that is None.
    """

    help: str
    metavar: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    because: str = ""
    default: str | None = None

    def broken(self, value: float) -> str:
        """The rule that a number breaks, or nothing."""
        if math.isnan(value):
            return "must be a number"
        if self.least is not None and value < self.least:
            return f"must be at least {_number(self.least)}" + (f" ({self.because})" if self.because else "")
        if self.above is not None and value <= self.above:
            return f"must be above {_number(self.above)}"
        if self.most is not None and value > self.most:
            return f"must be at most {_number(self.most)}"
        if self.below is not None and value >= self.below:
            return f"must be below {_number(self.below)}"
        return ""


def check_knobs(settings: Any) -> None:
    """Raise ArgumentError for the first annotated field of a dataclass whose value its knob does not take."""
    for name, (kind, knob) in knobs(type(settings)).items():
        require_value(name, getattr(settings, name), kind, knob)


def knobs(settings: Any) -> dict[str, tuple[Any, Knob]]:
    """Type and knob of every annotated field of a dataclass, by name."""
    found = {}
    for name, hint in get_type_hints(settings, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Knob):
                found[name] = (hint.__origin__, note)
    return found


def require_value(name: str, value: Any, kind: Any, knob: Knob) -> None:
    """Raise ArgumentError unless a value is of a type and inside the bounds of a knob."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None and type(None) in kinds:
        return
    if get_origin(kind) is Literal:
        require_choice(name, value, get_args(kind))
    elif int in kinds and (not isinstance(value, Integral) or isinstance(value, bool)):
        raise ArgumentError(name, "must be a whole number", value)
    elif float in kinds and (not isinstance(value, Real) or isinstance(value, bool)):
        raise ArgumentError(name, "must be a number", value)
    elif (int in kinds or float in kinds) and (rule := knob.broken(value)):
        raise ArgumentError(name, rule, value)


def require_choice(field: str, value: object, allowed: Iterable[str]) -> None:
    """Raise ArgumentError unless a value is one of the words allowed."""
    words = list(allowed)
    if value not in words:
        raise ArgumentError(field, f"must be one of {', '.join(words)}", value)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like one that is not."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def unknown_name(what: str, name: str, known: Iterable[str], *, place: str = "", more: str = "") -> UsageError:
    """The error for a name that nothing has: it tells the nearest one and those known.

    Args:
        what: that the name is for, such as "model".
        name: as it was given.
        known: names that exist.
        place: where it was given, such as " in 'flexnet[4,4]-conv'".
        more: said behind the known names.
    """
    names = list(known)
    return UsageError(
        f"unknown {what} {name!r}{place}; the nearest is {nearest(name, names)!r}, "
        f"the known ones are {', '.join(names)}{more}"
    )


def _number(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
