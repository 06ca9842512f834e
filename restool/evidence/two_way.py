"""How sure a mean over seeds and test images is: both sources of its spread, apart and combined.

Values are a table [k, n]: k models, trained alike from different seeds, tested on the same n images. A finding is to
hold for another training and for another test set, so rows and columns are both samples, of two random effects
(Searle, Casella and McCulloch, Variance Components, 1992, chapter 4). With the mean squares of that analysis,

    seed error^2   = variance over seeds of the mean over images / k      (holds the residual's share)
    image error^2  = variance over images of the mean over seeds / n      (holds it too)
    V              = seed error^2 + C,    C = max(0, image error^2 - residual mean square / (k n)).

The seed error alone is what most papers print; it is 0 for two equal seeds, and knows nothing of the test set.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

CONFIDENCE = 0.95
SIGNIFICANT = 1 - CONFIDENCE
"""A difference whose corrected p is below this is real."""
LEAST_OF_TWO = 2.5
"""An interval over two seeds alone counts from so many times that over images alone on."""


@dataclass(frozen=True)
class Spread:
    """The mean of a table of values and its errors, in the units of the values.

    Attributes:
        mean: over seeds and images.
        seeds: k.
        images: n.
        seed_error: NaN for one seed, which does not tell it.
        image_error: of the mean over the seeds at hand.
        common: C, the part of the variance of the mean that is not in the seed error.
    """

    mean: float
    seeds: int
    images: int
    seed_error: float
    image_error: float
    common: float

    @property
    def variance(self) -> float:
        """V; of one seed that over images alone."""
        return self.common if self.seeds == 1 else self.seed_error**2 + self.common

    def quantile(self, confidence: float = CONFIDENCE) -> float:
        """So many roots of V reach from the mean to each end of its interval.

        One seed: the normal quantile, for an interval that knows of the test set alone. Several: the interval over both
        (Welch and Satterthwaite),

            t_f sqrt(V),    f = V^2 / (seed error^4 / (k - 1) + C^2 / (n - 1)),

        or Student's over seeds alone, t_{k-1} seed error, where that is wider. Where the seeds decide, the first is too
        narrow; where the images do, the second is. Two seeds tell so little of a small spread that theirs counts only
        from 2.5 times the normal interval sqrt(C) z on. For normal errors and many images this covers 94.2 to 96.0 % of
        95 with two seeds, and 94.4 to 95.5 % from three on.
        """
        upper = (1 + confidence) / 2
        if self.seeds == 1:
            return float(special.ndtri(upper))
        student = float(special.stdtrit(self.seeds - 1, upper))
        if self.variance == 0:
            return student
        over_both = float(special.stdtrit(self._freedom, upper))
        over_seeds = student * self.seed_error / math.sqrt(self.variance)
        return max(over_seeds, over_both) if self._seeds_count(1 - confidence) else over_both

    def p_value(self) -> float:
        """Of a mean this far from 0 if the true one were 0: what the interval of confidence 1 - p just reaches."""
        if self.mean == 0 or self.variance == 0:
            return 1.0 if self.mean == 0 else 0.0
        ratio = -abs(self.mean) / math.sqrt(self.variance)
        if self.seeds == 1:
            return float(2 * special.ndtr(ratio))
        over_both = float(2 * special.stdtr(self._freedom, ratio))
        over_seeds = 0.0
        if self.seed_error > 0:
            over_seeds = float(2 * special.stdtr(self.seeds - 1, -abs(self.mean) / self.seed_error))
        if over_seeds <= over_both or not self._seeds_count(over_both):
            return over_both
        return over_seeds if self._seeds_count(over_seeds) else self._last_p_of_seeds(over_both, over_seeds)

    def _seeds_count(self, p: float) -> bool:
        """Whether an interval of confidence 1 - p heeds that over seeds alone; with every p, any smaller one does."""
        if self.seeds > 2:
            return True
        upper = 1 - p / 2
        student, normal = special.stdtrit(self.seeds - 1, upper), special.ndtri(upper)
        return bool(student * self.seed_error >= LEAST_OF_TWO * normal * math.sqrt(self.common))

    def _last_p_of_seeds(self, low: float, high: float) -> float:
        """The largest p for which the seeds count, where they do for `low` and not for `high`, by bisection."""
        while high - low > 1e-12 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self._seeds_count(middle) else (low, middle)
        return low

    @property
    def _freedom(self) -> float:
        """Degrees of freedom of V, after Welch and Satterthwaite."""
        parts = self.seed_error**4 / (self.seeds - 1) + self.common**2 / max(self.images - 1, 1)
        return self.variance**2 / parts


def spread(values: ArrayLike) -> Spread:
    """The mean of values [k, n] and its errors.

    Raises:
        ValueError: no value.
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    if table.size == 0:
        raise ValueError("values must hold at least one seed and one image")
    seeds, images = table.shape
    of_seeds, of_images, mean = table.mean(1), table.mean(0), float(table.mean())
    over_images = _variance(of_images) / images
    if seeds == 1:
        return Spread(mean, 1, images, math.nan, math.sqrt(over_images), over_images)
    over_seeds = _variance(of_seeds) / seeds
    # sums of squares of the two-way table: all = seeds + images + residual
    residual = ((table - mean) ** 2).sum() - images * (seeds - 1) * seeds * over_seeds
    residual = max(0.0, residual - seeds * (images - 1) * images * over_images) / ((seeds - 1) * max(images - 1, 1))
    common = max(0.0, over_images - residual / (seeds * images))
    return Spread(mean, seeds, images, math.sqrt(over_seeds), math.sqrt(over_images), common)


def _variance(values: np.ndarray) -> float:
    """With k - 1 in the denominator; of one value 0, since it is all there is."""
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
