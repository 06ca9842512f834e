"""One pass that samples the kernels of a whole model, shared by its layers while the model runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

from restool.correlation import FactoredKernel
from restool.modules import layers
from restool.nn.continuous_kernel import ContinuousKernel
from restool.nn.together import sample_together


@contextmanager
def sampled_together(model: nn.Module, size: Sequence[int]) -> Iterator[None]:
    """Inside, all continuous kernels of a model that are asked for at a size are sampled in one pass.

    It happens when the first of them is asked for, so a model without such layers pays nothing; the others then take
    theirs. Parameters must stay as they are until the end of the block. A layer of another model, one that meets
    another size, or one inside another gradient mode is sampled alone.

    Args:
        model: whose layers share inputs of one size.
        size: of these inputs, (n,) or (height, width).
    """
    token = _current.set(_SharedPass(model, size))
    try:
        yield
    finally:
        _current.reset(token)


def shared_or_own(layer: ContinuousKernel, size: Sequence[int]) -> FactoredKernel:
    """The kernel of a layer for inputs of a size: from the pass of its model where one is shared, else by itself."""
    shared = _current.get()
    kernel = None if shared is None else shared.kernel(layer, size)
    return sample_together([layer], size)[0] if kernel is None else kernel


class _SharedPass:
    """The continuous kernels of a model and, once one was asked for, the samples of all."""

    def __init__(self, model: nn.Module, size: Sequence[int]) -> None:
        self.model, self.size, self.gradient = model, tuple(size), torch.is_grad_enabled()
        self.kernels: dict[ContinuousKernel, FactoredKernel] = {}

    def kernel(self, layer: ContinuousKernel, size: Sequence[int]) -> FactoredKernel | None:
        """The layer's kernel, or None where it is to be sampled alone."""
        if tuple(size) != self.size or torch.is_grad_enabled() != self.gradient:
            return None
        if not self.kernels:
            found = list(layers(self.model, ContinuousKernel))
            self.kernels = dict(zip(found, sample_together(found, size), strict=True))
        return self.kernels.get(layer)


_current: ContextVar[_SharedPass | None] = ContextVar("shared_pass", default=None)
