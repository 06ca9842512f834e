"""Images or sequences: which a model takes, and which a data set holds."""

from restool.data import Dataset
from restool.errors import UsageError
from restool.models import find_model

NAMES = {1: "sequences", 2: "images"}


def require_dims(model: str, dataset: str, dims: int) -> None:
    """Raise UsageError if a model does not take what a data set holds; a factory of the user's may take either.

    Args:
        model: name.
        dataset: name.
        dims: of the data set.
    """
    taken = find_model(model).dims
    if taken is not None and taken != dims:
        held = NAMES[dims]
        raise UsageError(
            f"{model} takes {NAMES[taken]}, and data set {dataset!r} holds {held}; choose a model of {held}"
        )


def require_resampled(dataset: Dataset, size: int) -> None:
    """Raise UsageError for a size at which a data set has no meaning."""
    if dataset.fixed is not None and size != dataset.native_size:
        raise UsageError(f"{dataset.name} must stay at {dataset.native_size} {dataset.unit}: {dataset.fixed}")
