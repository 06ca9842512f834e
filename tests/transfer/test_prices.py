"""Laws of prices between measured sizes: powers of the size are exact, and what rises stays between its neighbours."""

import math
from itertools import pairwise, product

import numpy as np
import pytest

from restool.transfer.prices import UNKNOWN, Case, Price, Prices, rounds


def exactly(seconds: float) -> Price:
    return Price(seconds, seconds, seconds)


def test_places_are_visited_from_the_ends_to_the_middles_of_what_is_left():
    assert [rounds(count) for count in (1, 2, 3, 5)] == [[0], [0, 0], [0, 1, 0], [0, 2, 1, 2, 0]]
    for count in range(3, 200):
        found = rounds(count)
        for last in range(max(found) + 1):  # no gap is more than twice as wide as another one
            gaps = [after - before for before, after in pairwise(i for i, each in enumerate(found) if each <= last)]
            assert max(gaps) <= 2 * min(gaps)


@pytest.mark.parametrize(("of_source", "of_size"), [(0.0, 2.0), (2.0, 2.0), (-1.5, 3.7)])
def test_a_power_of_source_and_size_is_exact_from_the_ends_alone(of_source, of_size):
    cases = [Case("as-is", source, size) for source, size in product(range(8, 30, 3), range(10, 90, 7))]

    def seconds(case: Case) -> float:
        return 0.003 * case.source**of_source * case.size**of_size

    prices = Prices(cases)
    assert {(case.source, case.size) for case in prices.order[:4]} == set(product((8, 29), (10, 87)))
    for case in prices.order[:4]:
        prices.measure(case, exactly(seconds(case)))
    for case in cases:
        assert prices.of(case).likely == pytest.approx(seconds(case), rel=1e-12)


def test_kinds_with_one_size_a_source_are_a_line_along_the_sources():
    cases = [Case("resize", size, size) for size in range(8, 40)]
    prices = Prices(cases)
    assert prices.order[:3] == [cases[0], cases[-1], cases[15]]
    for case in prices.order[:2]:
        prices.measure(case, exactly(case.size**3.0))
    assert [prices.of(case).likely for case in cases] == pytest.approx([case.size**3.0 for case in cases])


def test_the_range_covers_whatever_rises_with_the_size_and_narrows_to_nothing():
    generator = np.random.default_rng(0)
    sources, sizes = range(8, 17), range(20, 61, 4)
    costs = generator.exponential(size=(len(sources), len(sizes))).cumsum(0).cumsum(1)
    planted = {
        Case("requery", source, size): cost
        for (source, size), cost in zip(product(sources, sizes), costs.ravel(), strict=True)
    }
    prices, widths = Prices(planted), [math.inf]
    for case in prices.order:
        prices.measure(case, exactly(planted[case]))
        found = {each: prices.of(each) for each in planted}
        for each, price in found.items():
            assert price.low <= planted[each] * (1 + 1e-12)
            assert planted[each] <= price.high * (1 + 1e-12)
            assert price == UNKNOWN or price.low <= price.likely * (1 + 1e-12) <= price.high * (1 + 1e-9)
        widths.append(sum(price.high - price.low for price in found.values()))
    assert all(after <= before + 1e-9 for before, after in pairwise(widths))
    assert widths[-1] == 0


def test_a_kind_is_unknown_until_its_ends_are_measured():
    cases = [Case(kind, source, size) for kind in ("b", "a") for source in (8, 9) for size in (16, 20, 24)]
    prices = Prices(cases)
    assert [case.kind for case in prices.order] == ["b"] * 4 + ["a"] * 4 + ["b"] * 2 + ["a"] * 2
    for case in prices.order[:3]:
        prices.measure(case, exactly(1.0))
        assert prices.of(cases[1]) == UNKNOWN
    prices.measure(prices.order[3], exactly(1.0))
    assert prices.of(cases[1]) == exactly(1.0)
    assert prices.of(cases[-1]) == UNKNOWN
