"""How an estimate is spelt in tables: the names of its columns, and its unit."""

from restool.evidence.intervals import Estimate

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
