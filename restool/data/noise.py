"""Noise-padded images: a row of pixels a step, then noise, through which a model has to remember the image.

With C colours and n x n pixels, step t < n is row t, its pixels colour by colour; the steps after it are standard
normal (Chang et al. 2019; 1,000 steps of 96 channels for CIFAR-10).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from restool.data.dataset import PARTS, Dataset, Part, Split, fingerprint
from restool.data.views import View
from restool.errors import UsageError

LENGTH = 1000
FIXED = "noise step by step has no other rate"
"""Why a noise-padded sequence has a meaning at its own number of steps alone."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Steps of standard normal noise behind every sequence.

    Attributes:
        channels: of every step.
        steps: so many.
        shared: the same noise for all sequences, as in the FlexConv code; else each sequence has its own, in every
            epoch the same.
    """

    channels: int
    steps: int
    shared: bool

    def behind(self, part: Part, which: Tensor) -> Tensor:
        """The noise of the sequences of a part at places [B]: [B, channels, steps], drawn on the CPU."""
        if self.shared:
            return self._common.to(which.device).expand(len(which), -1, -1)
        # a seed of PyTorch's generator on the CPU has 32 bits, so parts take turns
        seeds = [1 + place * len(PARTS) + PARTS.index(part) for place in which.tolist()]
        return torch.stack([self._block(seed) for seed in seeds]).to(which.device)

    @cached_property
    def _common(self) -> Tensor:
        """The noise that all sequences share."""
        return self._block(0)

    def _block(self, seed: int) -> Tensor:
        return torch.randn(self.channels, self.steps, generator=torch.Generator().manual_seed(seed))


def noise_padded(name: str, images: Dataset, *, shared: bool) -> Dataset:
    """The data set of images [N, C, n, n] with a row a step and noise behind: batches are [B, C n, 1000].

    Args:
        name: of the result.
        images: stored at one size below 1,000 pixels.
        shared: see `Noise`.

    Raises:
        UsageError: if the images are sequences or stored at no size that leaves room for noise.
    """
    side = images.native_size
    if images.dims != 2 or side is None or side >= LENGTH:
        raise UsageError(f"{name} must be made of images of one size below {LENGTH} px, and {images.name} is not")
    channels = images.channels * side

    def read(part: Part, _steps: int, _view: View) -> Split:
        split = images.split(part, side)
        rows = split.images.permute(0, 1, 3, 2).reshape(-1, channels, side)  # [N, (colour, column), row]
        return Split(rows, split.labels)

    return replace(
        images,
        name=name,
        channels=channels,
        mean=tuple(value for value in images.mean for _ in range(side)),
        std=tuple(value for value in images.std for _ in range(side)),
        augment="none",
        native_size=LENGTH,
        fingerprint=fingerprint([name, images.fingerprint, LENGTH, shared]),
        read=read,
        dims=1,
        fixed=FIXED,
        view=None,
        noise=Noise(channels=channels, steps=LENGTH - side, shared=shared).behind,
    )
