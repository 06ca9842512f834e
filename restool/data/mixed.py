"""Training batches of several sizes: every batch has one, drawn by the seed of its epoch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from restool.data.batches import Batches
from restool.data.dataset import Dataset
from restool.data.resampling import Filter


@dataclass(frozen=True)
class Chain:
    """How the images of a batch come to their size.

    Attributes:
        size: pixels of the image side.
        enlarged: images are then enlarged to so many pixels; None for not.
        filter: that enlarges them.
        sharpness: that they are given then, see `Batches`.
    """

    size: int
    enlarged: int | None = None
    filter: Filter = "bilinear"
    sharpness: float = 1.0

    @property
    def sizes(self) -> tuple[int, ...]:
        """As `Batches` takes them."""
        return (self.size,) if self.enlarged is None else (self.size, self.enlarged)


class MixedBatches:
    """Training images in batches, each of which goes through one of several chains of resizes.

    Args:
        dataset: where the images come from.
        chains: with the share of the batches that goes through each; those of share 0 are left out.
        batch_size: images a batch; the last one may be smaller.
        device: where the images rest and the batches appear.
        augment: flip and crop.

    Raises:
        ValueError: no chain, or a share below 0, or no share above it.
    """

    def __init__(
        self,
        dataset: Dataset,
        chains: Mapping[Chain, float],
        *,
        batch_size: int,
        device: torch.device | str,
        augment: bool = False,
    ) -> None:
        chains = {chain: share for chain, share in chains.items() if share != 0}
        if not chains or min(chains.values()) < 0:
            raise ValueError(f"chains must hold sizes and shares of at least 0, one above it, but are {chains}")
        self._parts = [
            Batches(
                dataset,
                "train",
                chain.sizes,
                batch_size=batch_size,
                device=device,
                augment=augment,
                filter_=chain.filter,
                sharpness=chain.sharpness,
            )
            for chain in chains
        ]
        self._shares = torch.tensor(list(chains.values()), dtype=torch.float64)
        if dataset.native_size is not None:
            for part in self._parts:
                part.images, part.labels = self._parts[0].images, self._parts[0].labels  # a device holds them once

    @property
    def samples(self) -> int:
        """Images an epoch."""
        return self._parts[0].samples

    @property
    def own_sizes(self) -> tuple[int, ...]:
        """Sizes that images have and were not enlarged to."""
        return tuple(sorted({part.sizes[-1] for part in self._parts if len(part.sizes) == 1}))

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._parts[0])

    def epoch(self, *, shuffle_seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, as float32 images [B, C, n, n] and int64 labels [B]; n differs from batch to batch.

        Args:
            shuffle_seed: alone decides order, augmentation and sizes. Order and augmentation are those of `Batches`.
        """
        generator = torch.Generator().manual_seed(shuffle_seed)
        drawn = list(self._parts[0].draw(generator))
        chosen = torch.multinomial(self._shares, len(drawn), replacement=True, generator=generator).tolist()
        for index, batch in zip(chosen, drawn, strict=True):
            yield self._parts[index].batch(*batch)
