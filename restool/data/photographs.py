"""Images of any size and shape: each is decoded and brought to size where it is needed, by worker processes."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from restool.data.dataset import NORMALISATION, PARTS, Dataset, Part, Split
from restool.data.pictures import Encoded, header, picture
from restool.data.views import View
from restool.errors import RestoolError

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""A random part of a training image has this share of its area, and this width over height (Szegedy et al. 2015)."""
MOST_CACHED = 1 << 30
"""Images at one size that fit into so many bytes, or a quarter of the memory if that is less, rest on the device."""
WORTH_A_WORKER = 64
"""A worker process is started for no fewer images than this, as starting one takes as long as decoding them."""


@dataclass(frozen=True)
class Wish:
    """One image as it is wanted: its place in the part, and the seed of its random part; None for the whole view."""

    place: int
    seed: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Photographs:
    """The encoded images of one part.

    Attributes:
        encoded: as they are stored.
        labels: int64 [N].
        channels: 1 or 3; a grey image among colour is repeated.
        fill: grey level of each channel where a padded view has nothing.
        workers: processes that decode; 0 for none, which gives the same images.
        most_cached: bytes.
    """

    encoded: Sequence[Encoded]
    labels: Tensor
    channels: int
    fill: tuple[int, ...]
    workers: int
    most_cached: int
    _kept: "OrderedDict[tuple[View, int], Tensor]" = field(default_factory=OrderedDict, repr=False)

    def bytes_at(self, size: int) -> int:
        """Of all images at a size, decoded."""
        return len(self.encoded) * self.channels * size**2

    def fits(self, size: int) -> bool:
        """Whether all images at a size may rest in memory."""
        return self.bytes_at(size) <= self.most_cached

    def whole(self, view: View, size: int) -> Tensor:
        """All images at a size: uint8 [N, C, n, n]; those of the last sizes are kept."""
        key = (view, size)
        if key not in self._kept:
            room = self.most_cached - self.bytes_at(size)
            while self._kept and sum(kept.numel() for kept in self._kept.values()) > room:
                self._kept.popitem(last=False)
            places = torch.arange(len(self.encoded)).split(WORTH_A_WORKER)
            wishes = [[Wish(place) for place in batch.tolist()] for batch in places]
            self._kept[key] = torch.cat(list(self.read(wishes, view, size)))
        self._kept.move_to_end(key)
        return self._kept[key]

    def read(self, wishes: Sequence[Sequence[Wish]], view: View, size: int) -> Iterator[Tensor]:
        """One batch after another as uint8 [B, C, n, n], the next ones being decoded meanwhile.

        Raises:
            MissingDataError: an image is damaged.
            UsageError: an image is of a kind that is not read.
        """
        images = sum(map(len, wishes))
        loader: DataLoader[Any] = DataLoader(
            _Decoded(self, view, size),
            batch_sampler=wishes,  # type: ignore[arg-type] # any iterable of batches, its stub says of integers
            num_workers=min(self.workers, images // WORTH_A_WORKER),
            collate_fn=_stacked,
            generator=torch.Generator(),  # else the global random numbers would move on
        )
        for batch in loader:
            if isinstance(batch, RestoolError):
                raise batch
            yield batch


class _Decoded(TorchDataset[Tensor | RestoolError]):
    """What the workers of `Photographs.read` give for one wish."""

    def __init__(self, photographs: Photographs, view: View, size: int) -> None:
        self.photographs, self.view, self.size = photographs, view, size

    def __getitem__(self, wish: Wish) -> Tensor | RestoolError:
        photographs = self.photographs
        try:
            shown = picture(photographs.encoded[wish.place])
        except RestoolError as error:
            return error  # a loader would raise it with the traceback of its process as the text
        if photographs.channels == 3:
            shown = shown.convert("RGB")
        if wish.seed is None:
            return self.view.of_picture(shown, self.size, photographs.fill)
        return random_part(shown, self.size, self.view, wish.seed)


def random_part(shown: Any, size: int, view: View, seed: tuple[int, int]) -> Tensor:
    """A random part of a picture at a size: uint8 [C, n, n], by torchvision's `RandomResizedCrop`."""
    from torchvision.transforms import RandomResizedCrop

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
        top, left, height, width = RandomResizedCrop.get_params(shown, list(SCALE), list(RATIO))
    part = shown.crop((left, top, left + width, top + height))
    return replace(view, fit="squash", crop_ratio=1.0).of_picture(part, size, ())


def _stacked(found: Sequence[Tensor | RestoolError]) -> Tensor | RestoolError:
    for image in found:
        if isinstance(image, RestoolError):
            return image
    return torch.stack(list(found))  # type: ignore[arg-type] # no error is left


def photographs(
    name: str,
    parts: Mapping[Part, tuple[Sequence[Encoded], Tensor]],
    class_names: tuple[str, ...],
    *,
    workers: int | None = None,
    cache: int | None = None,
) -> Dataset:
    """The data set of images that differ in size or shape.

    Args:
        name: of the data set.
        parts: images, and labels int64 [N], of each part.
        class_names: of the labels.
        workers: processes that decode; None for as many as there are cores, up to 8.
        cache: bytes of images at one size that may rest in memory; None for `MOST_CACHED`.

    Raises:
        MissingDataError: an image has a damaged header.
    """
    channels = 1 if all(header(image)[2] for images, _ in parts.values() for image in images) else 3
    mean, std = NORMALISATION[channels]
    made = {
        part: Photographs(
            images,
            labels,
            channels,
            tuple(round(255 * level) for level in mean),
            min(os.cpu_count() or 1, 8) if workers is None else workers,
            _most_cached() if cache is None else cache,
        )
        for part, (images, labels) in parts.items()
    }

    def read(part: Part, size: int, view: View) -> Split:
        return Split(made[part].whole(view, size), made[part].labels)

    return Dataset(
        name=name,
        channels=channels,
        class_names=class_names,
        mean=mean,
        std=std,
        augment="crop+flip",
        native_size=None,
        fingerprint=_fingerprint(parts),
        counts={part: len(labels) for part, (_, labels) in parts.items()},
        read=read,
        view=View(),
        photographs=made,
    )


def _most_cached() -> int:
    return min(MOST_CACHED, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)


def _fingerprint(parts: Mapping[Part, tuple[Sequence[Encoded], Tensor]]) -> str:
    """First 16 hex digits of the SHA-256 of every part's name, labels and files."""
    state = hashlib.sha256()
    for part in PARTS:
        images, labels = parts[part]
        state.update(f"{part} {len(images)} ".encode())
        state.update(labels.numpy().data)
        for image in images:
            content = image.content.read_bytes() if isinstance(image.content, Path) else image.content
            state.update(hashlib.sha256(content).digest())
    return state.hexdigest()[:16]
