"""Estimates with their intervals: of an accuracy, and of the difference of two on the same test images."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from restool.evidence.two_way import CONFIDENCE, Spread, spread


@dataclass(frozen=True)
class Estimate:
    """A mean, the ends of its interval, and its two errors (see `Spread`); fractions.

    Attributes:
        p: of the hypothesis that the true value is 0; NaN for an accuracy.
    """

    mean: float
    low: float
    high: float
    seed_error: float
    image_error: float
    p: float = math.nan

    @property
    def half(self) -> float:
        """Half of the interval's length."""
        return (self.high - self.low) / 2


def accuracy(correct: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Accuracy of models on test images.

    One seed has Wilson's interval (1927). Several have it with m = p (1 - p) / V for the number of images and the
    quantile of `Spread`, as surveys do with samples that are not independent (Korn and Graubard 1998). It stays within
    0 and 1, and has a length at 100 %.

    Args:
        correct: [k, n] bool, of k seeds on n images; or [n].
        confidence: of the interval.
    """
    found = spread(correct)
    p, images, quantile = found.mean, float(found.images), found.quantile(confidence)
    if found.seeds > 1 and found.variance > 0:
        images = p * (1 - p) / found.variance
    elif found.seeds > 1:  # all alike, as one seed is
        quantile = float(special.ndtri((1 + confidence) / 2))
    ratio = quantile**2 / images
    centre = (p + ratio / 2) / (1 + ratio)
    half = math.sqrt(ratio * (p * (1 - p) + ratio / 4)) / (1 + ratio)
    low, high = (0.0 if p == 0 else centre - half), (1.0 if p == 1 else centre + half)
    return Estimate(p, low, high, found.seed_error, found.image_error)


def mean(values: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of any figure of seeds and images, such as a divergence: mean -/+ quantile sqrt(V), see `Spread`.

    Args:
        values: [k, n], of k seeds on n images; or [n].
        confidence: of the interval.
    """
    found = spread(values)
    half = found.quantile(confidence) * math.sqrt(found.variance)
    return Estimate(found.mean, found.mean - half, found.mean + half, found.seed_error, found.image_error)


def difference(values: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of differences that are paired by seed and image, such as correct at the target minus correct at the source.

    The interval is mean -/+ quantile sqrt(V + 1 / n^2), as if one more image had changed (Agresti and Min 2005), so it
    has a length where none did. p is McNemar's exact one for a single seed whose differences are -1, 0 and 1, else that
    of the interval.

    Args:
        values: [k, n], of k seeds on n images; or [n].
        confidence: of the interval.
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    found = spread(table)
    widened = _with_one_more(found)
    half = widened.quantile(confidence) * math.sqrt(widened.variance)
    single = found.seeds == 1 and bool(np.isin(table, (-1, 0, 1)).all())
    p = mcnemar(int((table < 0).sum()), int((table > 0).sum())) if single else widened.p_value()
    return Estimate(found.mean, found.mean - half, found.mean + half, found.seed_error, found.image_error, p)


def mcnemar(lost: int, gained: int) -> float:
    """Exact two-sided p of so many losses and gains if both were as likely (McNemar 1947; the sign test)."""
    return float(min(1.0, 2 * special.bdtr(min(lost, gained), lost + gained, 0.5)))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p values for their number (Holm 1979): if nothing is real, one falls below 5 % in 5 % of all tables.

    Args:
        p_values: [m]; NaN is no hypothesis and stays NaN.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    adjusted = np.full(p.shape, np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted


def _with_one_more(found: Spread) -> Spread:
    return replace(found, common=found.common + 1 / found.images**2)
