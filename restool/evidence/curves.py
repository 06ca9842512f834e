"""A curve of differences over target sizes in one number: how much is lost along it, and how steadily."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from restool.evidence.intervals import Estimate, difference
from restool.evidence.two_way import CONFIDENCE

RESAMPLES = 1000


def area(values: ArrayLike, sizes: Sequence[int], confidence: float = CONFIDENCE) -> Estimate:
    """Mean height of a curve of differences along the logarithm of size: the area below it over its length.

        area = sum_t w_t d_t,    w by the trapezoidal rule on log(size), sum w = 1

    An octave counts as much as the next one, however many targets lie in it. Of one target it is its difference.

    Args:
        values: [t, k, n], differences at t sizes of k seeds on n images.
        sizes: [t], ascending.
        confidence: of the interval.
    """
    return difference(np.tensordot(_weights(sizes), np.asarray(values, dtype=float), 1), confidence)


def rank_correlation(values: ArrayLike, sizes: Sequence[int], confidence: float = CONFIDENCE) -> Estimate:
    """Spearman's rank correlation of the mean difference with the size: 1 rises steadily, -1 falls steadily.

    Its interval is the percentile bootstrap over seeds and images, each drawn with replacement (Owen 2007), always by
    the same draws; `p` is not known.

    Args:
        values: [t, k, n], differences -1, 0 and 1 at t sizes, at least three, of k seeds on n images.
        sizes: [t], ascending.
        confidence: of the interval.

    Raises:
        ValueError: fewer than three sizes.
    """
    table = np.asarray(values, dtype=float)
    targets, seeds, images = table.shape
    if targets < 3:
        raise ValueError(f"sizes must be at least three, but are {targets}")
    by_seed = _drawn(images) @ table.reshape(-1, images).astype(np.float32).T
    drawn = _spearman(np.einsum("bk,btk->bt", _drawn(seeds), by_seed.reshape(-1, targets, seeds)))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(drawn, tails)
    return Estimate(float(_spearman(table.mean((1, 2))[None])[0]), float(low), float(high), np.nan, np.nan)


def _weights(sizes: Sequence[int]) -> NDArray[np.float64]:
    at = np.log(np.asarray(sizes, dtype=float))
    if len(at) == 1:
        return np.ones(1)
    steps = np.diff(at)
    return (np.r_[steps, 0] + np.r_[0, steps]) / (2 * (at[-1] - at[0]))


@lru_cache(maxsize=4)
def _drawn(count: int) -> NDArray[np.float32]:
    """How often each of so many is drawn in every resample: [b, count].

    Sums of such numbers of -1, 0 and 1 are exact, so that equal sizes stay equal in every resample.
    """
    draws = np.random.default_rng(count).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return draws.astype(np.float32)


def _spearman(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row [b, t] with 0, 1, 2, ...; 0 where a row is level."""
    from scipy.stats import rankdata

    ranks = rankdata(curves, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    order = np.arange(curves.shape[1]) - (curves.shape[1] - 1) / 2
    length = np.sqrt((ranks**2).sum(1) * (order**2).sum())
    return np.divide(ranks @ order, length, out=np.zeros(len(curves)), where=length > 0)
