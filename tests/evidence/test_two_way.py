"""Laws of the two errors of a mean over seeds and images, against sums written out and SciPy's own intervals."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from restool.evidence import Spread, spread


def mean_squares(table: np.ndarray) -> tuple[float, float, float]:
    """Of seeds, images and the residual of a two-way table, by the definition, number by number."""
    seeds, images = table.shape
    mean = table.sum() / (seeds * images)
    of_seed = [sum(table[s, i] for i in range(images)) / images for s in range(seeds)]
    of_image = [sum(table[s, i] for s in range(seeds)) / seeds for i in range(images)]
    left = [(table[s, i] - of_seed[s] - of_image[i] + mean) ** 2 for s, i in product(range(seeds), range(images))]
    return (
        images * sum((x - mean) ** 2 for x in of_seed) / (seeds - 1),
        seeds * sum((x - mean) ** 2 for x in of_image) / (images - 1),
        sum(left) / ((seeds - 1) * (images - 1)),
    )


@pytest.mark.parametrize(("seeds", "images"), [(2, 5), (3, 8), (5, 4)])
def test_errors_are_those_of_the_analysis_of_variance(seeds, images):
    rng = np.random.default_rng(seeds)
    table = rng.normal(size=(seeds, 1)) + 3 * rng.normal(size=images) + rng.normal(size=(seeds, images))
    of_seeds, of_images, residual = mean_squares(table)
    found = spread(table)
    assert found.mean == pytest.approx(table.mean())
    assert found.seed_error**2 == pytest.approx(of_seeds / (seeds * images))
    assert found.image_error**2 == pytest.approx(of_images / (seeds * images))
    assert found.variance == pytest.approx((of_seeds + of_images - residual) / (seeds * images))


def test_errors_of_equal_seeds_are_those_of_one_seed():
    bits = np.array([[1, 0, 0, 1, 1, 1, 0, 1.0]])
    one, four = spread(bits), spread(np.repeat(bits, 4, axis=0))
    assert math.isnan(one.seed_error)
    assert four.seed_error == 0
    assert one.image_error == pytest.approx(stats.sem(bits[0]))
    assert four.variance == pytest.approx(one.variance)


def test_where_every_image_is_alike_the_interval_is_students_over_seeds():
    levels = np.array([0.7, 0.72, 0.65])
    found = spread(np.repeat(levels[:, None], 50, axis=1))
    expected = stats.t.interval(0.95, 2, levels.mean(), stats.sem(levels))
    half = found.quantile() * math.sqrt(found.variance)
    assert (found.mean - half, found.mean + half) == pytest.approx(expected)


def test_the_interval_is_at_least_as_wide_as_students_over_seeds():
    rng = np.random.default_rng(0)
    for _ in range(50):
        table = rng.random((3, 40)) < rng.random((3, 1)) / 4 + 0.5
        found = spread(table)
        assert found.quantile() * math.sqrt(found.variance) >= stats.t.ppf(0.975, 2) * stats.sem(table.mean(1)) - 1e-12


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 10])
def test_normal_errors_are_covered_whatever_part_of_them_is_the_seeds(seeds):
    """Exactly: the mean is normal with variance 1, and (k - 1) seed error^2 / share is chi-squared with k - 1."""
    drawn = stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, seeds - 1) / (seeds - 1)
    for share in (0.0, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999, 1.0):
        found = [Spread(0.0, seeds, 10**9, math.sqrt(share * each), math.nan, 1 - share) for each in drawn]
        halves = np.array([each.quantile() * math.sqrt(each.variance) for each in found])
        covered = (2 * stats.norm.cdf(halves) - 1).mean()
        assert 0.94 < covered < 0.96, share


@pytest.mark.parametrize("seeds", [1, 2, 3, 6])
def test_p_is_the_confidence_at_which_the_interval_reaches_0(seeds):
    rng, jumps = np.random.default_rng(seeds), 0
    for effect, between in product((0.02, 0.1, 0.3), np.geomspace(0.001, 1, 40)):
        found = spread(rng.normal(effect, 0.5, (seeds, 30)) + rng.normal(0, between, (seeds, 1)))
        p = found.p_value()
        assert 0 < p < 1
        if p < 1e-9:  # 1 - p holds too few of its digits
            continue
        shorter, longer = (found.quantile(1 - p * factor) for factor in (1 + 1e-6, 1 - 1e-6))
        reach = abs(found.mean) / math.sqrt(found.variance)
        assert shorter <= reach <= longer
        jumps += longer > 1.1 * shorter
    assert (jumps > 0) == (seeds == 2)  # where the interval over seeds begins to count


def test_two_seeds_that_hardly_differ_have_the_interval_over_images():
    """With three the interval over seeds counts from the first, with two from 2.5 times that over images on."""
    normal, student = stats.norm.ppf(0.975), stats.t.ppf(0.975, [1, 2])
    for seed_error, halves in ((0.1, None), (0.3, None), (0.39, student[0] * 0.39), (2.0, student[0] * 2)):
        found = Spread(0.0, 2, 10**9, seed_error, math.nan, 1.0)
        half = found.quantile() * math.sqrt(found.variance)
        assert half == pytest.approx(halves) if halves else normal < half < 1.1 * normal
    three = Spread(0.0, 3, 10**9, 0.6, math.nan, 1.0)
    assert three.quantile() * math.sqrt(three.variance) == pytest.approx(student[1] * 0.6)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99, 0.999])
def test_two_seeds_are_covered_at_other_confidences_too(confidence):
    drawn = stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, 1)
    for share in (0.0, 0.01, 0.04, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0):
        found = [Spread(0.0, 2, 10**9, math.sqrt(share * each), math.nan, 1 - share) for each in drawn]
        halves = np.array([each.quantile(confidence) * math.sqrt(each.variance) for each in found])
        missed = 1 - (2 * stats.norm.cdf(halves) - 1).mean()
        assert missed < 1.25 * (1 - confidence), share


def test_p_at_the_ends():
    assert spread(np.zeros((3, 4))).p_value() == 1
    assert spread(np.ones((3, 4))).p_value() == 0


def test_nothing_has_no_spread():
    with pytest.raises(ValueError, match="at least one seed and one image"):
        spread(np.zeros((0, 4)))
