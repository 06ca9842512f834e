"""Images of any size and shape: each is decoded and brought to size where it is needed, by worker processes."""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from restool.data.pictures import Encoded, picture
from restool.data.views import View
from restool.errors import RestoolError

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""A random part of a training image has this share of its area, and this width over height (Szegedy et al. 2015)."""
MOST_CACHED = 1 << 28
"""Images at one size that fit into so many bytes, or a quarter of the memory if that is less, rest on the device."""
MOST_DECODERS = 8
WORTH_A_WORKER = 64
"""A worker process is started for no fewer images than this, as starting one takes as long as decoding them."""


def most_cached() -> int:
    """`MOST_CACHED`, or a quarter of the memory of this machine if that is less."""
    return min(MOST_CACHED, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)


@dataclass(frozen=True)
class Wish:
    """One image as it is wanted: its place in the part, the seed of its random part, and whether it is mirrored.

    Without a seed it is the whole view.
    """

    place: int
    seed: tuple[int, int] | None = None
    mirrored: bool = False


@dataclass(frozen=True, eq=False)
class Photographs:
    """The encoded images of one part.

    Attributes:
        encoded: as they are stored.
        labels: int64 [N].
        channels: 1 or 3; a grey image among colour is repeated.
        fill: grey level of each channel where a padded view has nothing.
        decoders: processes that decode; 0 for none, which gives the same images. One a core by default.
        most_cached: bytes that decoded images may take.
    """

    encoded: Sequence[Encoded]
    labels: Tensor
    channels: int
    fill: tuple[int, ...]
    decoders: int = field(default_factory=lambda: min(os.cpu_count() or 1, MOST_DECODERS))
    most_cached: int = field(default_factory=most_cached)
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
            images = torch.empty(len(self.encoded), self.channels, size, size, dtype=torch.uint8)
            places = range(len(images))
            starts = places[::WORTH_A_WORKER]
            wishes = [[Wish(place) for place in places[start : start + WORTH_A_WORKER]] for start in starts]
            for start, found in zip(starts, self.read(wishes, view, size), strict=True):
                images[start : start + len(found)] = found
            self._kept[key] = images
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
            num_workers=min(self.decoders, images // WORTH_A_WORKER),
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
        if photographs.channels == 3 and shown.mode != "RGB":
            shown = shown.convert("RGB")
        if wish.seed is None:
            image = self.view.of_picture(shown, self.size, photographs.fill)
        else:
            image = random_part(shown, self.size, self.view, wish.seed)
        return image.flip(-1) if wish.mirrored else image


def random_part(shown: Any, size: int, view: View, seed: tuple[int, int]) -> Tensor:
    """A random part of a picture at a size: uint8 [C, n, n], by torchvision's `RandomResizedCrop`."""
    from torchvision.transforms import RandomResizedCrop

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
        top, left, height, width = RandomResizedCrop.get_params(shown, list(SCALE), list(RATIO))
    part = shown.crop((left, top, left + width, top + height))
    return replace(view, fit="squash", crop_ratio=1.0).of_picture(part, size, ())


def _stacked(found: Sequence[Tensor | RestoolError]) -> Tensor | RestoolError:
    for image in found:
        if isinstance(image, RestoolError):
            return image
    return torch.stack(list(found))  # type: ignore[arg-type] # no error is left
