"""How the outputs of a model differ between two resolutions, and how sure it is, image by image from its logits."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

BINS = 15
"""Of `calibration_error`, as in Guo et al. 2017."""


def in_top(logits: ArrayLike, labels: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Whether an image's class is among so many of the largest logits; of equal ones the first classes count as larger.

    Args:
        logits: [n, C].
        labels: [n], classes.
        count: of logits.

    Returns:
        [n].
    """
    table, classes = np.asarray(logits), np.asarray(labels)[:, None]
    own = np.take_along_axis(table, classes, 1)
    before = (table > own) | ((table == own) & (np.arange(table.shape[1]) < classes))
    return before.sum(1) < count


def negative_log_likelihood(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """-log p_c of an image's class c, in nats, where p is the distribution softmax(logits).

    Args:
        logits: [n, C].
        labels: [n], classes.

    Returns:
        [n].
    """
    log_p = special.log_softmax(np.asarray(logits, dtype=float), axis=-1)
    return -np.take_along_axis(log_p, np.asarray(labels)[:, None], 1)[:, 0]


def divergence(logits: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """KL(p || q) = sum_c p_c log(p_c / q_c), in nats, of the distributions softmax(logits) and softmax(others).

    Args:
        logits: [..., C], for p, such as those at the source.
        others: [..., C], for q, such as those at the target.

    Returns:
        [...].
    """
    log_p = special.log_softmax(np.asarray(logits, dtype=float), axis=-1)
    log_q = special.log_softmax(np.asarray(others, dtype=float), axis=-1)
    return np.maximum((np.exp(log_p) * (log_p - log_q)).sum(-1), 0)  # rounding alone is below 0


def confidence(logits: ArrayLike) -> NDArray[np.float64]:
    """The probability of the class that is answered: [..., C] to [...]."""
    return special.softmax(np.asarray(logits, dtype=float), axis=-1).max(-1)


def calibration_error(confident: ArrayLike, correct: ArrayLike) -> float:
    """Expected calibration error (Naeini et al. 2015; Guo et al. 2017): how far confidence is from accuracy.

        sum over bins of n_b / n |accuracy_b - mean confidence_b|,    15 bins of equal width

    A fraction. It is biased upward, by about the noise of a bin's accuracy, so it has no interval; the mean of
    confidence minus accuracy, which it is never below, has one.

    Args:
        confident: [n], see `confidence`.
        correct: [n] bool.
    """
    sure = np.asarray(confident, dtype=float)
    bins = np.clip(np.searchsorted(np.arange(BINS + 1) / BINS, sure, side="left") - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=np.asarray(correct, dtype=float) - sure, minlength=BINS)
    return float(np.abs(gaps).sum() / len(sure))
