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

        One seed: the normal quantile, for an interval that knows of the test set alone. Several: the wider of Student's
        interval over seeds alone, t_{k-1} seed error, and the Welch-Satterthwaite one over both,

            t_f sqrt(V),    f = V^2 / (seed error^4 / (k - 1) + C^2 / (n - 1)).

        Where the seeds decide, the second is too narrow; where the images do, the first is. For normal errors and many
        images the wider one covers 94.4 to 95.5 % of 95 from three seeds on, and 95.0 to 97.7 % with two.
        """
        upper = (1 + confidence) / 2
        if self.seeds == 1:
            return float(special.ndtri(upper))
        if self.variance == 0:
            return float(special.stdtrit(self.seeds - 1, upper))
        over_seeds = special.stdtrit(self.seeds - 1, upper) * self.seed_error / math.sqrt(self.variance)
        return float(max(over_seeds, special.stdtrit(self._freedom, upper)))

    def p_value(self) -> float:
        """Of a mean this far from 0 if the true one were 0: what the interval of confidence 1 - p just touches."""
        if self.mean == 0 or self.variance == 0:
            return 1.0 if self.mean == 0 else 0.0
        ratio = -abs(self.mean) / math.sqrt(self.variance)
        if self.seeds == 1:
            return float(2 * special.ndtr(ratio))
        over_both = special.stdtr(self._freedom, ratio)
        over_seeds = special.stdtr(self.seeds - 1, -abs(self.mean) / self.seed_error) if self.seed_error else 0.0
        return float(2 * max(over_both, over_seeds))

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
