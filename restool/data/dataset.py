"""What a data set is: named parts of 8-bit images with labels, and the rules that cut the parts."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from restool.data.photographs import Photographs
from restool.data.pictures import Encoded, header
from restool.data.rates import Resample, resample
from restool.data.resampling import resize
from restool.data.views import WHOLE, View
from restool.errors import ArgumentError, UsageError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

Augment = Literal["crop+flip", "crop", "flip", "none"]
"""What training does to an image at random: shift or cut it, and mirror it left to right half of the time."""

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
NORMALISATION: dict[int, Statistics] = {
    1: ((0.1307,), (0.3081,)),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation by channels: those of MNIST, and of ImageNet, which FlexConv uses for CIFAR-10."""

MOST_VALIDATION = 5000
SPLIT_SEED = 20220513


@dataclass(frozen=True)
class Split:
    """One part: `images` uint8 [N, C, H, W] at the stored size and `labels` int64 [N]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set whose parts are read by `split`.

    `mean` and `std` are per channel, of values in [0, 1]. `augment` tells what training does to images at random.
    `native_size` is the stored height and width in pixels, or None where images are rendered at any size, or are
    `photographs` of any size and shape, by part. `view` tells how stored images come to a size; others have none.
    `chosen` is what records say of `view` and `augment`: all for photographs, else what is not usual for the data set.
    `fingerprint` hashes the content of all parts, so that two runs share results only if they saw the same data.
    `counts` is the number of images of each part; a data set with a test part alone has none in the others. `dims` is 2
    for images and 1 for sequences, [N, C, T], whose size is their number of steps, to which `resample` brings them.
    `fixed` tells why another size has no meaning, or is None where it has one. `noise` gives normalised steps [B, C, L]
    behind those of the sequences of a part at places [B]. `notes` tell what reading the files did that may surprise.
    """

    name: str
    channels: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment
    native_size: int | None
    fingerprint: str
    counts: Mapping[Part, int]
    read: Callable[[Part, int, View], Split] = field(repr=False, compare=False)
    dims: int = 2
    fixed: str | None = None
    noise: Callable[[Part, Tensor], Tensor] | None = field(default=None, repr=False, compare=False)
    resample: Resample = "decimate"
    notes: tuple[str, ...] = field(default=(), compare=False)
    view: View | None = None
    photographs: Mapping[Part, Photographs] | None = field(default=None, repr=False, compare=False)
    chosen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown_as(self) -> View:
        """How an image comes to a size; a rendered one, which has it already, as a whole."""
        return WHOLE if self.view is None else self.view

    @property
    def rendered(self) -> bool:
        """Whether there is an exact image of every size."""
        return self.native_size is None and self.photographs is None

    def shown(self, images: Tensor, size: int) -> Tensor:
        """Whole grey levels as they were read for a size, brought to it, uint8."""
        if self.dims == 1 or self.native_size is None:
            return self.resized(images, size)
        return self.shown_as.of_squares(images, size)

    def resized(self, images: Tensor, size: int) -> Tensor:
        """All of what whole grey levels show at another size as uint8, see `resampling.resize` and `rates.resample`."""
        if self.fixed is not None:
            return images
        if self.dims == 1:
            return resample(images, size, self.resample)
        return resize(images, size, self.shown_as.resample, antialias=self.shown_as.antialias)

    def photographs_to_read(self, part: Part, size: int, *, random_parts: bool) -> Photographs | None:
        """The photographs of a part, if they are to be decoded for every batch; None where images may rest decoded."""
        found = None if self.photographs is None else self.photographs[part]
        return found if found is not None and (random_parts or not found.fits(size)) else None

    def reading(self, decoders: int | None, cache: int | None) -> "Dataset":
        """This data set with its photographs decoded by so many processes, and kept in so many bytes, unless None."""
        if self.photographs is None:
            return self
        told: dict[str, Any] = {"decoders": decoders, "most_cached": cache}
        told = {name: value for name, value in told.items() if value is not None}
        photographs = {part: replace(own, **told) for part, own in self.photographs.items()}
        return replace(self, photographs=photographs, read=_reader(photographs))

    @property
    def unit(self) -> str:
        """What a size counts."""
        return "px" if self.dims == 2 else "steps"

    def split(self, part: Part, size: int) -> Split:
        """The images and labels of a part.

        Args:
            part: "train", "validation" or "test".
            size: pixels along each axis to render at; stored images come at their native size whatever it is.

        Raises:
            UsageError: if there is no such part, or the size is below one pixel.
        """
        if part not in self.counts:
            raise ArgumentError("part", f"must be one of {', '.join(self.counts)}", part)
        if size < 1:
            raise ArgumentError("size", "must be at least 1 pixel", size)
        return self.read(part, size, self.shown_as)

    def require_images(self, part: Part) -> None:
        """Raise UsageError for a part without images, as a data set with a test part alone has."""
        if not self.counts[part]:
            raise UsageError(
                f"{self.name} has no {part} images; add a training part, or evaluate a trained model with `epochs` 0"
            )


def require_limit(limit: int | None) -> None:
    """Raise ArgumentError for a limit below one image."""
    if limit is not None and limit < 1:
        raise ArgumentError("limit", "must be at least 1 image", limit, "leave it out to use them all")


def within_limit(counts: Mapping[Part, int], limit: int | None) -> dict[Part, int]:
    """Counts under `limit` N: at most N training and N test images, and max(1, N // 10) of validation.

    Raises:
        UsageError: if the limit is below 1.
    """
    require_limit(limit)
    if limit is None:
        return dict(counts)
    most: dict[Part, int] = {"train": limit, "validation": max(1, limit // 10), "test": limit}
    return {part: min(counts[part], most[part]) for part in PARTS}


def partition(train: int, test: int, limit: int | None, *, validation: int = 0) -> dict[Part, np.ndarray]:
    """Indices of each part into the training images followed by those of validation and of the test, ascending.

    Without stored validation images, a tenth of the training images, at least one and at most 5,000, is drawn for it by
    a fixed permutation; test images never mix with the others. Under a limit every part keeps the head of its
    permutation (counts as in `within_limit`), so sorted files stay balanced and a smaller limit keeps a subset of a
    larger one.

    Args:
        train: images in the stored training part, at least 2, or 0 where there is none.
        test: images in the stored test part, at least 1.
        limit: images to keep, or None for all.
        validation: images in the stored validation part, if there is one.

    Raises:
        UsageError: if there are too few images to cut the parts from, or the limit is below 1.
    """
    if train == 1 or test < 1:
        raise UsageError(f"a data set needs at least 2 training images and 1 test image, got {train} and {test}")
    held_out = 0 if validation or not train else max(1, min(MOST_VALIDATION, train // 10))
    kept = within_limit({"train": train - held_out, "validation": validation or held_out, "test": test}, limit)
    rng = np.random.default_rng(SPLIT_SEED)
    shuffled, shuffled_test = rng.permutation(train), train + validation + rng.permutation(test)
    pools: dict[Part, np.ndarray] = {
        "train": shuffled[held_out:],
        "validation": train + rng.permutation(validation) if validation else shuffled[:held_out],
        "test": shuffled_test,
    }
    return {part: np.sort(pool[: kept[part]]) for part, pool in pools.items()}


def fingerprint(content: Any) -> str:
    """First 16 hex digits of the SHA-256 of what decides a data set, given as JSON has it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def digest(parts: Mapping[Part, Split]) -> str:
    """First 16 hex digits of the SHA-256 of every part's name, shape, pixels and labels."""
    state = hashlib.sha256()
    for part, split in parts.items():
        state.update(f"{part} {tuple(split.images.shape)} ".encode())
        for tensor in (split.images, split.labels):
            state.update(tensor.contiguous().numpy().data)
    return state.hexdigest()[:16]


def stored(name: str, parts: Mapping[Part, Split], class_names: tuple[str, ...], *, augment: bool) -> Dataset:
    """The data set of images that exist at one size; channels, size and normalisation follow from the images."""
    if len(class_names) < 2:
        raise UsageError(f"{name} must have at least 2 classes, but has {len(class_names)}; label the images by class")
    channels, size = parts["test"].images.shape[1:3]
    mean, std = NORMALISATION[channels]
    return Dataset(
        name=name,
        channels=channels,
        class_names=class_names,
        mean=mean,
        std=std,
        augment="crop+flip" if augment else "none",
        native_size=size,
        fingerprint=digest(parts),
        counts={part: len(split.labels) for part, split in parts.items()},
        read=lambda part, _size, _view: parts[part],
        view=WHOLE,
    )


def photographs(
    name: str,
    parts: Mapping[Part, tuple[Sequence[Encoded], Tensor]],
    class_names: tuple[str, ...],
) -> Dataset:
    """The data set of images that are decoded where they are needed; squares of one size are shown as a whole.

    Args:
        name: of the data set.
        parts: images, and labels int64 [N], of each part.
        class_names: of the labels.

    Raises:
        MissingDataError: an image has a damaged header.
    """
    headers = [header(image) for images, _ in parts.values() for image in images]
    channels = 1 if all(grey for _, _, grey in headers) else 3
    squares = len({side for width, height, _ in headers for side in (width, height)}) == 1
    mean, std = NORMALISATION[channels]
    made = {
        part: Photographs(
            images,
            labels,
            channels,
            tuple(round(255 * level) for level in mean),
        )
        for part, (images, labels) in parts.items()
    }

    return Dataset(
        name=name,
        channels=channels,
        class_names=class_names,
        mean=mean,
        std=std,
        augment="crop+flip",
        native_size=None,
        fingerprint=digest_of_files(parts),
        counts={part: len(labels) for part, (_, labels) in parts.items()},
        read=_reader(made),
        view=WHOLE if squares else View(),
        photographs=made,
    )


def _reader(photographs: Mapping[Part, Photographs]) -> Callable[[Part, int, View], Split]:
    return lambda part, size, view: Split(photographs[part].whole(view, size), photographs[part].labels)


def digest_of_files(parts: Mapping[Part, tuple[Sequence[Encoded], Tensor]]) -> str:
    """First 16 hex digits of the SHA-256 of every part's name, labels and files."""
    state = hashlib.sha256()
    for part in PARTS:
        images, labels = parts[part]
        state.update(f"{part} {len(images)} ".encode())
        state.update(labels.numpy().data)
        for image in images:
            state.update(hashlib.sha256(image.read()).digest())
    return state.hexdigest()[:16]
