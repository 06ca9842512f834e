"""Laws of intervals and tests: they cover what they say, and agree with SciPy, with counts and with definitions."""

from itertools import chain, combinations, product
from math import comb

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from restool.evidence import accuracy, difference, holm, mcnemar


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (970, 1000), (50, 50)])
def test_one_seed_has_wilsons_interval(right, n):
    found = accuracy(np.arange(n) < right)
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_equal_seeds_know_no_more_of_the_test_set_than_one():
    bits = np.arange(200) < 150
    one, three = accuracy(bits), accuracy(np.stack([bits] * 3))
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.02)
    sure = np.ones((3, 200), dtype=bool)
    assert accuracy(sure).low == pytest.approx(accuracy(sure[0]).low)


def test_an_interval_stays_within_0_and_1():
    rng = np.random.default_rng(0)
    for level in (0.0, 0.01, 0.5, 0.99, 1.0):
        for seeds in (1, 2, 5):
            found = accuracy(rng.random((seeds, 30)) < level)
            assert 0 <= found.low <= found.mean <= found.high <= 1
            assert found.low < found.high


def bits_of(
    rng: np.random.Generator, seeds: int, images: int, level: float, between: float, shared: float
) -> np.ndarray:
    """Answers of models that differ by the seed, to images of which some are hard for all of them."""
    threshold = ndtri(np.clip(level + rng.normal(0, between, (seeds, 1)), 0.01, 0.99))
    hardness = np.sqrt(shared) * rng.normal(size=images)
    return hardness + np.sqrt(1 - shared) * rng.normal(size=(seeds, images)) < threshold


@pytest.mark.parametrize(("seeds", "between"), [(1, 0.0), *product([2, 3, 5], [0.0, 0.02, 0.05])])
def test_intervals_cover_the_true_value_of_another_training_and_test_set(seeds, between):
    rng, draws, images = np.random.default_rng(seeds), 2000, 400
    held = np.zeros(2)
    for _ in range(draws):
        first = bits_of(rng, seeds, images, 0.8, between, 0.8)
        second = bits_of(rng, seeds, images, 0.75, between, 0.8)
        one, two = accuracy(first), difference(second.astype(float) - first)
        held += [one.low <= 0.8 <= one.high, two.low <= -0.05 <= two.high]
    # the exact law, without this noise, is in test_two_way.py
    assert ((held / draws > 0.935) & (held / draws < 0.965)).all(), held / draws


def test_a_p_below_5_percent_is_as_rare_as_it_says():
    rng, draws = np.random.default_rng(0), 3000
    for seeds in (1, 3):
        found = [
            difference(
                bits_of(rng, seeds, 400, 0.8, 0.01, 0.5).astype(float) - bits_of(rng, seeds, 400, 0.8, 0.01, 0.5)
            ).p
            for _ in range(draws)
        ]
        assert 0.02 < np.mean(np.array(found) < 0.05) < (0.06 if seeds > 1 else 0.08)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (5, 5), (1, 9), (12, 3), (0, 7)])
def test_mcnemar_counts_the_splits_that_are_no_likelier(lost, gained):
    n = lost + gained
    as_far = [k for k in range(n + 1) if abs(k - n / 2) >= abs(lost - n / 2)]
    assert mcnemar(lost, gained) == pytest.approx(sum(comb(n, k) for k in as_far) / 2**n)
    differences = np.r_[-np.ones(lost), np.ones(gained), np.zeros(4)]
    assert difference(differences).p == pytest.approx(mcnemar(lost, gained))


def test_a_difference_of_nothing_is_not_sure_to_be_nothing():
    found = difference(np.zeros((1, 100)))
    assert (found.mean, found.p) == (0, 1)
    assert found.high == -found.low == pytest.approx(1.96 / 100, rel=1e-3)


def test_holm_is_the_closure_of_bonferroni():
    rng = np.random.default_rng(0)
    for size in (1, 2, 5):
        p = rng.random(size) ** 3
        sets = list(chain.from_iterable(combinations(range(size), k) for k in range(1, size + 1)))
        expected = [max(min(1, len(s) * min(p[list(s)])) for s in sets if i in s) for i in range(size)]
        assert holm(p) == pytest.approx(expected)


def test_what_was_not_tested_counts_for_nothing():
    assert holm([np.nan, 0.01, np.nan, 0.02]) == pytest.approx([np.nan, 0.02, np.nan, 0.02], nan_ok=True)
    assert holm([]).shape == (0,)


def test_the_interval_of_one_seed_is_that_of_a_paired_bootstrap():
    rng = np.random.default_rng(3)
    values = bits_of(rng, 1, 500, 0.75, 0, 0.8)[0].astype(float) - bits_of(rng, 1, 500, 0.8, 0, 0.8)[0]
    found = difference(values)
    drawn = stats.bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=4).confidence_interval
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.004)
