"""What can happen to a file, each kind of it at places drawn from a seed."""

import re
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import numpy as np

from restool.errors import RestoolError

T = TypeVar("T")
Damage = Callable[[bytes, np.random.Generator], bytes]
"""(content, draws) -> what is left of it."""


def _places(content: bytes, rng: np.random.Generator, count: int) -> list[int]:
    return sorted(rng.integers(0, len(content), count).tolist())


def bit(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit is turned over."""
    [at] = _places(content, rng, 1)
    return content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]


def end(content: bytes, rng: np.random.Generator) -> bytes:
    """The end is cut off."""
    return content[: _places(content, rng, 1)[0]]


def middle(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch is cut out."""
    first, last = _places(content, rng, 2)
    return content[:first] + content[last + 1 :]


def zeros(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch became zeros, as a disk leaves it that lost power."""
    first, last = _places(content, rng, 2)
    return content[:first] + bytes(last + 1 - first) + content[last + 1 :]


def more(content: bytes, rng: np.random.Generator) -> bytes:
    """Something stands behind."""
    return content + rng.bytes(int(rng.integers(1, 200)))


def swapped(content: bytes, rng: np.random.Generator) -> bytes:
    """Two stretches changed their places."""
    first, second, third = _places(content, rng, 3)
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def doubled(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch stands there twice."""
    first, last = _places(content, rng, 2)
    return content[: last + 1] + content[first:]


def digit(content: bytes, rng: np.random.Generator) -> bytes:
    """One digit of its text is another."""
    places = [match.start() for match in re.finditer(rb"(?<=[:,. \d])\d", content)] or [0]
    at = places[int(rng.integers(len(places)))]
    return content[:at] + str((content[at] - 48 + 1 + int(rng.integers(9))) % 10).encode() + content[at + 1 :]


DAMAGES: dict[str, Damage] = {
    each.__name__: each for each in (bit, end, middle, zeros, more, swapped, doubled, digit)
}  # fmt: skip


def unless_refused(read: Callable[[], T], name: str) -> T | None:
    """What is read; None if it is refused in one line that names the file."""
    try:
        return read()
    except RestoolError as error:
        told = str(error)
    assert name in told
    assert "\n" not in told
    return None


def damaged(content: bytes, other: bytes, times: int) -> list[tuple[str, bytes]]:
    """Versions of a content that differ from it, so many by each kind of damage; and another's content in its place."""
    found = [("other", other), ("empty", b"")]
    for name, damage in DAMAGES.items():
        rng = np.random.default_rng(len(found))
        versions = filter(content.__ne__, (damage(content, rng) for _ in range(100 * times)))
        found += [(f"{name} {number}", version) for number, version in enumerate(islice(versions, times))]
    return found
