"""Data sets of images and of sequences, and batches of them at any size on any device."""

from restool.data.batches import Batches
from restool.data.dataset import Augment, Dataset, Part, Split, require_limit
from restool.data.mixed import MixedBatches
from restool.data.rates import Resample
from restool.data.sources import DATASETS, Source, dims_of, load, require_reading, usual

__all__ = [
    "DATASETS",
    "Augment",
    "Batches",
    "Dataset",
    "MixedBatches",
    "Part",
    "Resample",
    "Source",
    "Split",
    "dims_of",
    "load",
    "require_limit",
    "require_reading",
    "usual",
]
