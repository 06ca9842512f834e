"""The least time that counted work can take on a machine: the slower of its arithmetic and its memory traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restool.bench.harness.machine import Machine


@dataclass(frozen=True)
class Count:
    """Floating-point operations, multiply and add counted as two, and bytes that must be read or written."""

    operations: float
    bytes: float

    def __sub__(self, other: "Count") -> "Count":
        return Count(self.operations - other.operations, self.bytes - other.bytes)


Costs = Mapping[str, Count]
"""What one piece of the work costs by each way of doing it."""


@dataclass(frozen=True)
class Floor:
    """The least time, and of it the seconds that arithmetic decides; memory decides the rest."""

    seconds: float
    arithmetic: float


def floor(pieces: Sequence[Costs], machine: Machine) -> Floor:
    """Sum over the pieces of the least over the ways of max(operations / peak, bytes / bandwidth)."""
    seconds = arithmetic = 0.0
    for costs in pieces:
        computed, least = min((_times(count, machine) for count in costs.values()), key=lambda pair: pair[1])
        seconds += least
        arithmetic += least if computed == least else 0.0
    return Floor(seconds, arithmetic)


def _times(count: Count, machine: Machine) -> tuple[float, float]:
    """Seconds of the arithmetic alone, and of the slower of it and the traffic."""
    computed = count.operations / machine.operations_per_second
    return computed, max(computed, count.bytes / machine.bytes_per_second)
