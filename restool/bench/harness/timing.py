"""Times of several candidates taken in turns, so that whatever slows the machine down meets all of them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from restool.bench.harness.budget import Budget


@dataclass(frozen=True)
class Stopwatch:
    """Seconds of a call.

    Attributes:
        clock: seconds since some fixed moment.
        synchronize: waits until the device has done all work it was given, before the clock is read.
    """

    clock: Callable[[], float] = time.perf_counter
    synchronize: Callable[[], None] = lambda: None

    def __call__(self, call: Callable[[], object]) -> float:
        """Run once and time it."""
        self.synchronize()
        started = self.clock()
        call()
        self.synchronize()
        return self.clock() - started


@dataclass(frozen=True)
class Timing:
    """Seconds of a candidate's calls.

    Attributes:
        first: the very first call, with whatever is compiled, calibrated or allocated in it.
        calls: those after the warm-up.
    """

    first: float
    calls: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return float(np.median(self.calls))

    @property
    def quartiles(self) -> tuple[float, float]:
        """A quarter of the calls were faster than the first, a quarter slower than the second."""
        low, high = np.percentile(self.calls, [25, 75])
        return float(low), float(high)


def interleave(
    calls: Mapping[str, Callable[[], object]],
    first: Mapping[str, float],
    *,
    budget: Budget,
    stopwatch: Stopwatch,
) -> dict[str, Timing]:
    """Time candidates round by round: a call of each that has budget left, in the given order.

    A round that is not counted warms them up; a candidate whose first call took the whole budget is spared it.

    Args:
        calls: what to time, by name.
        first: seconds of the first calls, which have been made.
        budget: of every candidate.
        stopwatch: times a call.
    """
    for name, call in calls.items():
        if first[name] < budget.seconds:
            call()
    timings = {name: Timing(first[name]) for name in calls}
    active = list(calls)
    while active:
        for name in active:
            timings[name].calls.append(stopwatch(calls[name]))
        active = [name for name in active if _has_budget(timings[name].calls, budget)]
    return timings


def _has_budget(calls: list[float], budget: Budget) -> bool:
    return len(calls) < budget.repeats and sum(calls) < budget.seconds
