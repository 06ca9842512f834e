"""Whether a difference is real: intervals and tests over test images and seeds. Needs no torch."""

from restool.evidence.curves import area, rank_correlation
from restool.evidence.intervals import Estimate, accuracy, difference, holm, mcnemar, mean
from restool.evidence.predictions import (
    calibration_error,
    confidence,
    divergence,
    in_top,
    negative_log_likelihood,
)
from restool.evidence.two_way import CONFIDENCE, SIGNIFICANT, Spread, spread

__all__ = [
    "CONFIDENCE",
    "SIGNIFICANT",
    "Estimate",
    "Spread",
    "accuracy",
    "area",
    "calibration_error",
    "confidence",
    "difference",
    "divergence",
    "holm",
    "in_top",
    "mcnemar",
    "mean",
    "negative_log_likelihood",
    "rank_correlation",
    "spread",
]
