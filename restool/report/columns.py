"""Names of columns: what records say, and what is measured of them."""

from restool.evidence.spelling import names

MEASURED = ["accuracy", "n", "correct", "figures", "key", "timing", "environment", "logits"]
"""What a record says beside its cell."""
SUMMARY = [
    "seeds",
    "n",
    *names("accuracy", "percent"),
    "accuracy_seed_error_points",
    "accuracy_image_error_points",
    "source_accuracy_percent",
    *names("difference", "points"),
    "difference_seed_error_points",
    "difference_image_error_points",
    "p",
    "p_holm",
]
"""Of `restool.report.summarise`."""
CURVE = [
    "targets",
    "curve_seeds",
    *names("area", "points"),
    "worst_target",
    *names("worst", "points"),
    *names("rank_correlation"),
]
"""Of `restool.report.curves`."""
CONSISTENCY = [
    "seeds",
    "n",
    *names("agreement", "percent"),
    *names("divergence", "nats"),
    *names("overconfidence", "points"),
    "calibration_error_points",
    *names("source_overconfidence", "points"),
    "source_calibration_error_points",
]
"""Of `restool.report.consistency`."""
