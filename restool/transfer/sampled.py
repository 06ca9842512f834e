"""A continuous layer for evaluation, whose kernel is made once for every input size and kept."""

import copy
from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn

from restool.correlation import FactoredKernel, prepare
from restool.nn import ContinuousConv
from restool.transfer.cache import KernelCache, KernelKey, weights_digest

Sampler = Callable[[ContinuousConv, tuple[int, ...], float], FactoredKernel]
"""(layer, size of its input, target pixels per source pixel) -> discrete kernel [O, I, *K]."""


class SampledConv(nn.Module):
    """A continuous layer that convolves with the kernel that a sampler gives, without gradient.

    It holds a copy of the layer, so later training of the original does not change it.

    Args:
        layer: trained.
        sampler: gives the kernel.
        scale: target pixels per source pixel.
        kernels: where the kernel is kept.
    """

    def __init__(self, layer: ContinuousConv, sampler: Sampler, scale: float, kernels: KernelCache) -> None:
        super().__init__()
        self.layer, self.sampler, self.scale, self.kernels = copy.deepcopy(layer), sampler, scale, kernels
        self._digest: tuple[Hashable, str] | None = None

    @torch.no_grad()
    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, *size] -> [B, O, *size], without gradient."""
        size, layer = tuple(signal.shape[2:]), self.layer
        making = (self.sampler, self.scale, signal.dtype, signal.device)
        kernel = self.kernels.get(
            KernelKey(self._weights(), size, making),
            lambda: prepare(self.factored(size), signal, causal=layer.causal, method=layer.method),
        )
        return kernel.correlate(signal, layer.bias)

    def factored(self, size: tuple[int, ...]) -> FactoredKernel:
        """The discrete kernel for an input of a size."""
        return self.sampler(self.layer, size, self.scale)

    def _weights(self) -> str:
        """Digest of the layer, computed anew when a tensor of it was written to or exchanged."""
        state = tuple((tensor.data_ptr(), tensor._version) for tensor in self.layer.state_dict().values())
        if self._digest is None or self._digest[0] != state:
            self._digest = state, weights_digest(self.layer)
        return self._digest[1]
