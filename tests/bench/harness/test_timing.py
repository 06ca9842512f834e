"""Laws of timing, by a clock that only the calls move."""

import pytest

from restool.bench.harness.budget import Budget
from restool.bench.harness.timing import Stopwatch, Timing, interleave
from restool.errors import UsageError


class Lab:
    """A clock, candidates that take the seconds they are told to, and the order in which they were called."""

    def __init__(self):
        self.now, self.order = 100.0, []
        self.stopwatch = Stopwatch(clock=lambda: self.now)

    def candidate(self, name, *seconds):
        remaining = list(seconds)

        def call():
            self.order.append(name)
            self.now += remaining.pop(0) if len(remaining) > 1 else remaining[0]

        return call

    def interleave(self, calls, budget, first=0.0):
        return interleave(calls, dict.fromkeys(calls, first), budget=budget, stopwatch=self.stopwatch)


def test_candidates_take_turns_after_a_warm_up():
    lab = Lab()
    lab.interleave({"a": lab.candidate("a", 1), "b": lab.candidate("b", 1)}, Budget(repeats=3, seconds=100))
    assert "".join(lab.order) == "ab" + "ababab"


def test_the_first_call_and_the_warm_up_are_not_among_the_calls():
    lab = Lab()
    timing = lab.interleave({"a": lab.candidate("a", 50, 1, 2, 6)}, Budget(repeats=3, seconds=100), first=7.0)["a"]
    assert timing == Timing(first=7.0, calls=[1, 2, 6])
    assert timing.median == 2


def test_a_candidate_stops_when_its_seconds_are_spent_and_the_others_go_on():
    lab = Lab()
    calls = {"slow": lab.candidate("slow", 4), "fast": lab.candidate("fast", 1)}
    timings = lab.interleave(calls, Budget(repeats=6, seconds=5))
    assert {name: len(timing.calls) for name, timing in timings.items()} == {"slow": 2, "fast": 5}
    assert lab.order[2:] == ["slow", "fast", "slow", "fast", "fast", "fast", "fast"]


def test_every_candidate_is_timed_once_at_least_and_a_slow_one_is_not_warmed_up():
    lab = Lab()
    timings = lab.interleave({"slow": lab.candidate("slow", 9)}, Budget(repeats=6, seconds=5), first=9.0)
    assert lab.order == ["slow"]
    assert timings["slow"].calls == [9]


def test_half_of_the_calls_lie_between_the_quartiles():
    timing = Timing(0.0, [1.0, 2.0, 3.0, 4.0, 100.0])
    assert (timing.quartiles, timing.median) == ((2.0, 4.0), 3.0)
    assert Timing(0.0, [5.0]).quartiles == (5.0, 5.0)


def test_the_device_is_waited_for_before_and_after_a_call():
    seen = []
    stopwatch = Stopwatch(clock=lambda: seen.append("clock") or 0.0, synchronize=lambda: seen.append("wait"))
    stopwatch(lambda: seen.append("call"))
    assert seen == ["wait", "clock", "call", "wait", "clock"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"repeats": 0}, "`repeats` must be at least 1, but is 0"),
        ({"seconds": 0.0}, "`seconds` must be above 0, but is 0.0"),
        ({"seconds": float("nan")}, "`seconds` must be a number, but is nan"),
        ({"give_up": -1.0}, "`give_up` must be above 0, but is -1.0"),
    ],
)
def test_a_budget_out_of_range_is_refused(values, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        Budget(**values)
