"""Image data sets, and batches of them at any size on any device."""

from restool.data.batches import Batches
from restool.data.dataset import Dataset, Part, Split, require_limit
from restool.data.mixed import MixedBatches
from restool.data.sources import DATASETS, Source, load

__all__ = [
    "DATASETS",
    "Batches",
    "Dataset",
    "MixedBatches",
    "Part",
    "Source",
    "Split",
    "load",
    "require_limit",
]
