"""Candidates for the same work beside each other: checked, timed in turns, set against the baseline and the floor."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restool.bench.harness.budget import Budget
from restool.bench.harness.floor import Costs, floor
from restool.bench.harness.machine import Machine
from restool.bench.harness.timing import Stopwatch, Timing, interleave
from restool.errors import RestoolError

BASELINE_SLACK = 100
"""The baseline's error may be so many times its limit: PyTorch's float32 sum over 10^5 taps is off by 1.5e-5."""


class InaccurateError(RestoolError):
    """A candidate does not compute what it is compared for."""


@dataclass(frozen=True)
class Deviation:
    """How far a result is off, and how far it may be."""

    error: float
    limit: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to do the work.

    Attributes:
        name: in tables and figures.
        call: does the work once, or starts it on the device.
        check: compares its results with the truth: what is compared -> deviation.
        extras: further columns of its row, asked for after the timing.
    """

    name: str
    call: Callable[[], object]
    check: Callable[[], Mapping[str, Deviation]]
    extras: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True, kw_only=True)
class Case:
    """The same work for all candidates.

    Attributes:
        place: what tells this case from others: size, its unit unless that is a pixel, the model where there is one,
            and where there are kernels sigma and taps.
        candidates: the first one is the baseline.
        pieces: of the work, counted; none where it was not counted, which leaves out the floor.
        images: handled by a call; None where speed is not counted in images.
        cells: of a grid that a call runs, likewise.
    """

    place: Mapping[str, Any]
    candidates: Sequence[Candidate]
    pieces: Sequence[Costs]
    images: int | None = None
    cells: int | None = None

    @property
    def text(self) -> str:
        """The place in words: `flexnet-7, 32 px, sigma 0.3`."""
        model = f"{self.place['model']}, " if "model" in self.place else ""
        sigma = f", sigma {self.place['sigma']}" if "sigma" in self.place else ""
        return f"{model}{self.place['size']} {self.place.get('unit', 'px')}{sigma}"


def compare(
    cases: Iterable[Case], machine: Machine, *, budget: Budget, stopwatch: Stopwatch
) -> Iterator[list[dict[str, Any]]]:
    """The rows of every case: one a candidate, in the case's order.

    Times are in seconds. `ratio` is the baseline's median over the candidate's, None where the baseline was left out.
    `times_floor` is the median over the floor, where the work was counted.

    Args:
        cases: measured one after another; each is let go of before the next is made.
        machine: for the floor.
        budget: of every candidate in every case.
        stopwatch: times a call.

    Raises:
        InaccurateError: an error is above its limit, or a hundred times above it for the baseline.
    """
    slow: list[tuple[str, Mapping[str, Any]]] = []
    for case in cases:
        left = [candidate for candidate in case.candidates if not _is_hopeless(candidate, case.place, slow)]
        rows, timings = _measure(case, left, machine, budget=budget, stopwatch=stopwatch)
        slow += [(name, case.place) for name, timing in timings.items() if max(timing.calls) > budget.give_up]
        yield rows


def _is_hopeless(candidate: Candidate, place: Mapping[str, Any], slow: list[tuple[str, Mapping[str, Any]]]) -> bool:
    """Whether a case of the same model that is no larger along any axis was too slow already."""
    return any(
        candidate.name == name
        and place.get("model") == seen.get("model")
        and all(place.get(axis, 0) >= seen.get(axis, 0) for axis in ("size", "taps"))
        for name, seen in slow
    )


def _measure(
    case: Case, candidates: list[Candidate], machine: Machine, *, budget: Budget, stopwatch: Stopwatch
) -> tuple[list[dict[str, Any]], dict[str, Timing]]:
    first, deviations = {}, {}
    for candidate in candidates:
        first[candidate.name] = stopwatch(candidate.call)
        deviations[candidate.name] = _checked(candidate, case)
    calls = {candidate.name: candidate.call for candidate in candidates}
    timings = interleave(calls, first, budget=budget, stopwatch=stopwatch)
    baseline = timings.get(case.candidates[0].name)
    rows = []
    for candidate in candidates:
        timing, errors = timings[candidate.name], deviations[candidate.name]
        row = {
            **case.place,
            "candidate": candidate.name,
            **_times(timing, baseline),
            "errors": {kind: deviation.error for kind, deviation in errors.items()},
            **_beside_the_floor(timing, case, machine),
        }
        if case.images is not None:
            row["images_per_second"] = case.images / timing.median
        if case.cells is not None:
            row["cells_per_second"] = case.cells / timing.median
        rows.append(row | candidate.extras())
    return rows, timings


def _times(timing: Timing, baseline: Timing | None) -> dict[str, Any]:
    low, high = timing.quartiles
    return {
        "median": timing.median,
        "low": low,
        "high": high,
        "calls": len(timing.calls),
        "ratio": baseline.median / timing.median if baseline else None,
        "first_call": timing.first,
    }


def _beside_the_floor(timing: Timing, case: Case, machine: Machine) -> dict[str, float]:
    """Nothing where the work was not counted."""
    if not case.pieces:
        return {}
    least = floor(case.pieces, machine)
    return {
        "floor": least.seconds,
        "floor_arithmetic": least.arithmetic,
        "times_floor": timing.median / least.seconds,
    }


def _checked(candidate: Candidate, case: Case) -> Mapping[str, Deviation]:
    deviations = candidate.check()
    for kind, deviation in deviations.items():
        limit = deviation.limit * (BASELINE_SLACK if candidate is case.candidates[0] else 1)
        if not deviation.error <= limit:  # a NaN is wrong too
            raise InaccurateError(
                f"candidate {candidate.name} is wrong at {case.text}: {kind} error {deviation.error:.1e} is above "
                f"{limit:.0e}; nothing was timed there, leave it out or mend it"
            )
    return deviations
