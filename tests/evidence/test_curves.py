"""Laws of a curve in one number, against NumPy's trapezoidal rule, SciPy's rank correlation and a bootstrap by hand."""

import numpy as np
import pytest
from scipy import stats

from restool.evidence import area, difference, rank_correlation

SIZES = [8, 12, 24, 36, 64]


def table_of(heights: list[float], seeds: int = 3, images: int = 200) -> np.ndarray:
    """Differences -1, 0 and 1 whose means are about these."""
    rng = np.random.default_rng(0)
    draws = rng.random((1, seeds, images)) + rng.normal(0, 0.02, (1, seeds, 1))
    heights_ = np.array(heights)[:, None, None]
    return np.where(draws < np.abs(heights_), np.sign(heights_), 0.0)


def test_area_is_the_trapezoidal_rule_on_the_logarithm_over_its_length():
    table = table_of([-0.1, -0.3, 0.2, -0.2, 0.4])
    at = np.log(SIZES)
    expected = np.trapezoid(table.mean((1, 2)), at) / (at[-1] - at[0])
    assert area(table, SIZES).mean == pytest.approx(expected)


def test_area_of_a_level_curve_is_its_height_with_the_interval_of_one_cell():
    table = np.repeat(table_of([-0.3]), len(SIZES), axis=0)
    assert area(table, SIZES) == difference(table[0])
    assert area(table[:1], [8]) == difference(table[0])


def test_an_octave_counts_as_much_however_many_targets_lie_in_it():
    few = area(table_of([0.0, 0.0, -0.4]), [8, 16, 32]).mean
    many = area(table_of([0.0, 0.0, -0.2, -0.4]), [8, 16, 16 * 2**0.5, 32]).mean
    assert many == pytest.approx(few, abs=0.02)


def test_rank_correlation_is_spearmans_of_the_mean_curve():
    table = table_of([-0.1, -0.3, -0.2, -0.4, -0.5])
    expected = stats.spearmanr(SIZES, table.mean((1, 2))).statistic
    assert rank_correlation(table, SIZES).mean == pytest.approx(expected)


def test_a_steady_fall_is_sure_and_a_level_curve_has_no_order():
    falling = rank_correlation(table_of([-0.1, -0.3, -0.5, -0.7, -0.9]), SIZES)
    assert (falling.mean, falling.low, falling.high) == pytest.approx((-1, -1, -1))
    level = rank_correlation(np.zeros((5, 2, 20)), SIZES)
    assert (level.mean, level.low, level.high) == (0, 0, 0)


def test_sizes_with_the_same_answers_stay_tied_in_every_resample():
    one = np.random.default_rng(0).integers(-1, 2, (3, 1000))
    found = rank_correlation(np.stack([one] * 9), range(28, 37))
    assert (found.low, found.high) == (0, 0)


def test_the_interval_is_that_of_a_bootstrap_over_seeds_and_images():
    table = table_of([-0.30, -0.33, -0.31, -0.36, -0.35], seeds=4, images=60)
    found = rank_correlation(table, SIZES)
    rng = np.random.default_rng(99)
    drawn = []
    for _ in range(3000):
        seeds, images = rng.integers(0, 4, 4), rng.integers(0, 60, 60)
        curve = table[:, seeds][:, :, images].mean((1, 2))
        drawn.append(0.0 if np.ptp(curve) == 0 else stats.spearmanr(SIZES, curve).statistic)
    # the resamples of both are draws, and the statistic has steps of 0.1
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.11)


def test_two_sizes_have_no_rank_correlation():
    with pytest.raises(ValueError, match="at least three, but are 2"):
        rank_correlation(np.zeros((2, 1, 4)), [8, 16])
