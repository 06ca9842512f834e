"""Names of columns: what records say, what is measured of them, and how an estimate is spelt."""

from restool.evidence import Estimate

FACTOR = {"percent": 100.0, "points": 100.0}
"""By unit, what a figure as a fraction is multiplied by; others stay as they are."""


def names(figure: str, unit: str = "") -> list[str]:
    """The columns of an estimate: its value and the ends of its interval, such as area_points, area_low_points, ..."""
    return ["_".join(filter(None, [figure, end, unit])) for end in ("", "low", "high")]


def spelt(figure: str, unit: str, estimate: Estimate) -> dict[str, float]:
    """An estimate by its `names`, in the unit."""
    factor = FACTOR.get(unit, 1.0)
    values = (factor * value for value in (estimate.mean, estimate.low, estimate.high))
    return dict(zip(names(figure, unit), values, strict=True))


MEASURED = ["accuracy", "n", "correct", "figures", "key", "timing", "environment"]
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
