"""Laws of the comparison, on candidates that do nothing but move a clock."""

import pytest

from restool.bench.harness.budget import Budget
from restool.bench.harness.compare import Candidate, Case, Deviation, InaccurateError, compare
from restool.bench.harness.floor import Count
from restool.bench.harness.timing import Stopwatch

PART = {"direct": Count(2e9, 1e8)}  # 2 s of arithmetic and 1 s of traffic on the round machine


class Lab:
    def __init__(self):
        self.now, self.log = 0.0, []
        self.stopwatch = Stopwatch(clock=lambda: self.now)

    def candidate(self, name, seconds, error=0.0, **more):
        def call():
            self.log.append(f"call {name}")
            self.now += seconds

        def check():
            self.log.append(f"check {name}")
            return {"output": Deviation(error, 1e-5)}

        return Candidate(name=name, call=call, check=check, **more)

    def rows(self, cases, machine, budget):
        return [row for rows in compare(cases, machine, budget=budget, stopwatch=self.stopwatch) for row in rows]


def case(*candidates, size=16, **more):
    return Case(place={"size": size, "sigma": "0.3", "taps": size + 1}, candidates=candidates, pieces=[PART], **more)


def test_a_row_holds_ratio_to_the_baseline_and_distance_to_the_floor(round_machine, one_call):
    lab = Lab()
    rows = lab.rows([case(lab.candidate("conv2d", 12), lab.candidate("ours", 3, 4e-6))], round_machine, one_call)
    assert [(row["candidate"], row["median"], row["ratio"], row["times_floor"]) for row in rows] == [
        ("conv2d", 12, 1, 6),
        ("ours", 3, 4, 1.5),
    ]
    ours = rows[1]
    assert (ours["size"], ours["sigma"], ours["taps"], ours["calls"], ours["first_call"]) == (16, "0.3", 17, 1, 3)
    assert (ours["floor"], ours["floor_arithmetic"], ours["errors"]) == (2, 2, {"output": 4e-6})
    assert "images_per_second" not in ours


def test_speed_is_counted_in_images_where_there_are_any(round_machine, one_call):
    lab = Lab()
    [row] = lab.rows([case(lab.candidate("conv2d", 4), images=100)], round_machine, one_call)
    assert row["images_per_second"] == 25


def test_every_candidate_is_checked_before_any_is_timed(round_machine, one_call):
    lab = Lab()
    lab.rows([case(lab.candidate("a", 1), lab.candidate("b", 1))], round_machine, one_call)
    assert lab.log == ["call a", "check a", "call b", "check b", *["call a", "call b"] * 2]


@pytest.mark.parametrize("error", [2e-5, float("nan"), float("inf")])
def test_a_wrong_candidate_ends_the_comparison_untimed(round_machine, one_call, error):
    lab = Lab()
    wrong = case(lab.candidate("conv2d", 1), lab.candidate("ours", 1, error))
    with pytest.raises(InaccurateError, match=r"^candidate ours is wrong at 16 px, sigma 0.3: output error .* 1e-05; "):
        lab.rows([wrong], round_machine, one_call)
    assert lab.log.count("call conv2d") == 1


def test_the_baseline_may_round_more_than_the_others_but_not_be_wrong(round_machine, one_call):
    lab = Lab()
    [row] = lab.rows([case(lab.candidate("conv2d", 1, 9e-4))], round_machine, one_call)
    assert row["errors"] == {"output": 9e-4}
    with pytest.raises(InaccurateError, match="candidate conv2d is wrong"):
        lab.rows([case(lab.candidate("conv2d", 1, 2e-3))], round_machine, one_call)


def test_a_candidate_that_took_too_long_is_left_out_of_larger_cases_only(round_machine):
    lab = Lab()
    budget = Budget(repeats=1, seconds=100, give_up=5)
    cases = [case(lab.candidate("conv2d", size), lab.candidate("ours", 1), size=size) for size in (4, 6, 8, 5)]
    rows = lab.rows(cases, round_machine, budget)
    assert [(row["size"], row["candidate"]) for row in rows] == [
        (4, "conv2d"), (4, "ours"), (6, "conv2d"), (6, "ours"), (8, "ours"), (5, "conv2d"), (5, "ours"),
    ]  # fmt: skip
    assert [row["ratio"] for row in rows if row["size"] == 8] == [None]


def test_a_model_that_was_too_slow_leaves_others_in(round_machine):
    lab = Lab()
    cases = [
        Case(place={"model": model, "size": size}, candidates=[lab.candidate("loop", 9)], pieces=[PART])
        for model in "ab"
        for size in (4, 6)
    ]
    rows = lab.rows(cases, round_machine, Budget(repeats=1, seconds=100, give_up=5))
    assert [(row["model"], row["size"]) for row in rows] == [("a", 4), ("b", 4)]


def test_work_that_was_not_counted_has_no_floor(round_machine, one_call):
    lab = Lab()
    [row] = lab.rows(
        [Case(place={"size": 8}, candidates=[lab.candidate("loop", 4)], pieces=[])], round_machine, one_call
    )
    assert row["median"] == 4
    assert not {name for name in row if "floor" in name}


def test_a_case_is_called_by_what_tells_it_from_others():
    place = {"model": "flextcn-2", "size": 784, "unit": "steps", "sigma": "0.3", "taps": 9}
    assert Case(place=place, candidates=[], pieces=[]).text == "flextcn-2, 784 steps, sigma 0.3"
    assert Case(place={"size": 32}, candidates=[], pieces=[]).text == "32 px"


def test_what_a_candidate_adds_to_its_row_is_asked_for_after_the_timing(round_machine, one_call):
    lab = Lab()
    chatty = lab.candidate("a", 1, extras=lambda: {"calls_so_far": lab.log.count("call a")})
    [row] = lab.rows([case(chatty)], round_machine, one_call)
    assert row["calls_so_far"] == 3
