"""What work costs at sizes between those at which it was measured."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Case(NamedTuple):
    """A step or a batch of one kind: of a model for a source size, on images of a size."""

    kind: str
    source: int
    size: int


class Price(NamedTuple):
    """Seconds: at least, likely, and at most."""

    low: float
    likely: float
    high: float


NOTHING, UNKNOWN = Price(0.0, 0.0, 0.0), Price(0.0, math.inf, math.inf)


class Prices:
    """The prices of cases, of which some are measured.

    The logarithm of a likely price is taken to be linear in that of the size between two sizes measured with one
    source, and then in that of the source between two sources: exact where a price is a power of either. The ends are
    those of the cheapest and the dearest of these neighbours: they hold wherever a price rises, or falls, all the way
    from one to the other. A kind is known once its first and last source are measured at their first and last size.

    Args:
        cases: that there are.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        named = list(cases)
        self._sizes: dict[str, dict[int, list[int]]] = {case.kind: {} for case in named}
        for kind, source, size in sorted(set(named)):
            self._sizes[kind].setdefault(source, []).append(size)
        self._measured: dict[str, dict[int, dict[int, Price]]] = {}

    @property
    def order(self) -> list[Case]:
        """All cases in the order in which they are best measured: the ends of all kinds, then the middles between."""
        found = []
        for kind, of_kind in self._sizes.items():
            for source, source_round in zip(of_kind, rounds(len(of_kind)), strict=True):
                for size, size_round in zip(of_kind[source], rounds(len(of_kind[source])), strict=True):
                    found.append((max(source_round, size_round), Case(kind, source, size)))
        return [case for _, case in sorted(found, key=lambda each: each[0])]

    def measure(self, case: Case, price: Price) -> None:
        """Note what a case costs."""
        self._measured.setdefault(case.kind, {}).setdefault(case.source, {})[case.size] = price

    def of(self, case: Case) -> Price:
        """What a case costs; `UNKNOWN` as long as its kind is."""
        sizes = self._sizes[case.kind]
        measured = self._measured.get(case.kind, {})
        whole = {at: found for at, found in measured.items() if {sizes[at][0], sizes[at][-1]} <= found.keys()}
        if not {min(sizes), max(sizes)} <= whole.keys():
            return UNKNOWN
        below, above = _neighbours(case.source, whole)
        found = {source: _between(case.size, whole[source]) for source in (below, above)}
        return _between(case.source, found)


def rounds(count: int) -> list[int]:
    """Of each of so many places in a row the round that visits it: 0 both ends, then the middle of every gap."""
    found = [0] * count
    gaps, number = [(0, count - 1)], 0
    while gaps := [(low, high) for low, high in gaps if high - low > 1]:
        number += 1
        middles = [(low + high) // 2 for low, high in gaps]
        for middle in middles:
            found[middle] = number
        gaps = [part for (low, high), at in zip(gaps, middles, strict=True) for part in ((low, at), (at, high))]
    return found


def _neighbours(at: int, known: Iterable[int]) -> tuple[int, int]:
    """The known sizes next to one, which is both if it is known; beyond the ends, the end."""
    found = sorted(known)
    below = max((size for size in found if size <= at), default=found[0])
    return below, min((size for size in found if size >= at), default=below)


def _between(at: int, known: Mapping[int, Price]) -> Price:
    """The price at a size by those at its neighbours."""
    first, last = _neighbours(at, known)
    one, two = known[first], known[last]
    part = math.log(at / first) / math.log(last / first) if first < at < last else 0.0
    likely = one.likely ** (1 - part) * two.likely**part
    return Price(min(one.low, two.low), likely, max(one.high, two.high))
