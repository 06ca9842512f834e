"""Convolutions whose kernel is measured in training pixels, and how they meet a finer or coarser grid."""

import math
from collections.abc import Callable
from typing import Protocol as Interface
from typing import Self, runtime_checkable

import torch
from torch import Tensor, nn

from restool.correlation import FactoredKernel, correlate
from restool.modules import copied

LARGEST_REACH = 64
"""A kernel reaches no more pixels than this, so that a width that diverges does not fill the memory."""


@runtime_checkable
class Rescalable(Interface):
    """A layer that says what it becomes where an object covers `scale` times as many pixels as in training.

    `at_scale` returns a new layer and leaves this one alone. The scale always counts from the training resolution, so
    `layer.at_scale(2).at_scale(3)` is `layer.at_scale(3)`. Fine-tuning trains the new layer on: for its checkpoint to
    fit the model's name, parameters keep their names and shapes, and the scale is a buffer.
    """

    def at_scale(self, scale: float) -> nn.Module:
        """The layer to use there."""
        ...


class Rescaled(nn.Module):
    """A layer that knows how finely its input is sampled, see `Rescalable`.

    Attributes:
        scale: pixels per training pixel, or steps per training step. A buffer, so that the checkpoint of a model
            trained on elsewhere holds it; on the CPU wherever the layer is, for the host reads it at every call and
            would wait for a GPU.
    """

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self.scale = self.scale.cpu()
        return self

    def at_scale(self, scale: float) -> Self:
        """A copy with the same parameters on another grid.

        Raises:
            ValueError: a scale that is not positive.
        """
        if scale <= 0:
            raise ValueError(f"scale must be positive, but is {scale}")
        layer = copied(self)
        layer.scale.fill_(scale)
        return layer


class ScaledConv(Rescaled):
    """Cross-correlation with zero padding to the size of the input, of which every `stride`-th pixel is kept.

        y[i] = sum_k K[k] x[stride i + k] + b

    A subclass gives K for the grid of `scale`, and b where it has one.

    Args:
        stride: pixels of the input to one of the output, at least 1.
    """

    bias: Tensor | None

    def __init__(self, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.register_parameter("bias", None)

    def discrete_kernel(self) -> Tensor | FactoredKernel:
        """[O, I, K_y, K_x], odd along both axes."""
        raise NotImplementedError

    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)]."""
        return correlate(signal, self.discrete_kernel(), self.bias)[:, :, :: self.stride, :: self.stride]


def scaled_reach(width: float, scale: float) -> int:
    """Pixels from the middle of a kernel to its edge on the grid of `scale`, at most `LARGEST_REACH`.

        R = ceil(scale (R_1 + 1/2) - 1/2),   R_1 = ceil(width)

    This is the smallest grid that covers the area of the R_1 pixels on each side, and of the middle one, that the
    kernel has in training: a kernel cut elsewhere in its tails would be another kernel.

    Args:
        width: training pixels.
        scale: pixels per training pixel.
    """
    return _whole(scale * (_whole(width) + 0.5) - 0.5)


def _whole(width: float) -> int:
    return math.ceil(width) if width < LARGEST_REACH else LARGEST_REACH  # a NaN is no smaller


def offsets(reach: int, like: Tensor) -> Tensor:
    """Pixel offsets -reach..reach, in the dtype and on the device of `like`."""
    return torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
