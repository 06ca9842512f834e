"""Image data sets from files: which stored part serves as which, one numbering of classes for all, and what is left."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restool.data.classes import Classes
from restool.data.dataset import PARTS, Dataset, Part, Split, fingerprint, partition, photographs, stored
from restool.data.pictures import Encoded, decode, sound
from restool.errors import MissingDataError, UsageError

PART_NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval"),
}
"""What a part is called in names of files and folders, in upper or lower case; the first one found is read."""

SHOWN = 4
"""A note gives so many examples."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Table:
    """A stored part, or a file of it.

    Attributes:
        where: it lies, for messages.
        images: in the order they are stored.
        labels: places of their classes in `names`, int64 [N].
        names: of classes that occur, each once.
    """

    where: str
    images: list[Encoded]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def numbered(self, classes: Classes) -> NDArray[np.int64]:
        """Places of the classes in `classes` instead.

        Raises:
            UsageError: if a class is not there.
        """
        places = {name: place for place, name in enumerate(classes.names)}
        for name in self.names:
            if name not in places:
                raise UsageError(
                    f"{self.where} has class {name!r}, which {classes.origin} lacks; add it there, or remove it here"
                )
        return np.array([places[name] for name in self.names], dtype=np.int64)[self.labels]


@dataclass(frozen=True)
class Labelled:
    """Images of a part that are used, and their labels, int64 [N]."""

    images: list[Encoded]
    labels: Tensor


def by_part(names: Iterable[str]) -> dict[Part, str]:
    """The name that each part goes by, for those that are among the names."""
    found: dict[Part, str] = {}
    for part, known in PART_NAMES.items():
        called = sorted((name for name in names if name.lower() in known), key=lambda name: known.index(name.lower()))
        if called:
            found[part] = called[0]
    return found


def parts_among(found: Mapping[Part, Found], missing: str) -> tuple[dict[Part, Found], list[str]]:
    """The stored parts by what they serve as, and notes on it.

    Args:
        found: stored parts; without one for the test, that for validation takes its place.
        missing: what an error says of the test part that is not there.

    Raises:
        MissingDataError: if there is nothing to test on.
    """
    parts, notes = dict(found), []
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
        notes.append("there is no test part, so the validation part is the test part")
    if "test" not in parts:
        raise MissingDataError(missing)
    if "train" not in parts:
        notes.append("there is no training part, so trained models can be evaluated, but none trained")
    return {part: parts[part] for part in PARTS if part in parts}, notes


def chosen_images(
    tables: Mapping[Part, Table], classes: Classes, *, limit: int | None, skip_damaged: bool
) -> tuple[dict[Part, Labelled], list[str]]:
    """The images of every part that a data set is made of, and notes on those left out.

    Args:
        tables: stored parts, that for the test at least.
        classes: of all of them.
        limit: see `partition`.
        skip_damaged: decode every image, and leave out those that are damaged.

    Raises:
        MissingDataError: if all test images are damaged.
        UsageError: if a part has a class of its own, or too few images.
    """
    stored_parts = [tables[part] for part in PARTS if part in tables]
    images = [image for table in stored_parts for image in table.images]
    labels = np.concatenate([table.numbered(classes) for table in stored_parts])
    sizes = {part: len(tables[part].images) if part in tables else 0 for part in PARTS}
    chosen = partition(sizes["train"], sizes["test"], limit, validation=sizes["validation"])
    damaged: list[str] = []
    if skip_damaged:
        whole = {part: np.array(sound([images[index] for index in chosen[part]]), dtype=bool) for part in chosen}
        damaged = [images[index].where for part in chosen for index in chosen[part][~whole[part]]]
        chosen = {part: indices[whole[part]] for part, indices in chosen.items()}
    if not len(chosen["test"]):
        raise MissingDataError(f"no test image can be decoded, the first is {damaged[0]}; replace them")
    used = {
        part: Labelled([images[index] for index in indices], torch.from_numpy(labels[indices]))
        for part, indices in chosen.items()
    }
    return used, [f"skipped damaged images: {listed(damaged)}"] if damaged else []


def dataset_of(name: str, parts: Mapping[Part, Labelled], classes: Classes, notes: Sequence[str]) -> Dataset:
    """The data set of images: decoded at once if they are squares of one size and fit, else where they are needed.

    Raises:
        MissingDataError: if an image is damaged.
        UsageError: if an image is of a kind that is not read, or there are too few classes.
    """
    images = [image for labelled in parts.values() for image in labelled.images]
    pixels = decode(images)
    if pixels is not None:
        cut = pixels.split([len(labelled.images) for labelled in parts.values()])
        splits = {part: Split(own, parts[part].labels) for part, own in zip(parts, cut, strict=True)}
        dataset = stored(name, splits, classes.names, augment=True)
    else:
        dataset = photographs(name, {part: (own.images, own.labels) for part, own in parts.items()}, classes.names)
    if classes.given:  # the model has an output for every one of them
        dataset = replace(dataset, fingerprint=fingerprint([dataset.fingerprint, *classes.names]))
    return replace(dataset, notes=tuple(notes))


def listed(names: Sequence[str], count: int | None = None) -> str:
    """How many there are (as many as names, if it is not told), and the first few."""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names) if count is None else count:,} ({', '.join(names[:SHOWN])}{more})"
