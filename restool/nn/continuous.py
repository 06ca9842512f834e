"""Convolution with a continuous kernel: CKConv without a mask, FlexConv with one (Romero et al. 2022a, 2022b)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restool.correlation import FactoredKernel, Method, correlate
from restool.kernels import GaussianMask, KernelNetwork
from restool.nn.continuous_kernel import ContinuousKernel
from restool.nn.shared_pass import shared_or_own


class ContinuousConv(ContinuousKernel):
    """Cross-correlation with a continuous kernel, sampled on the grid of the input at every call.

        y = x * K + b,   K as in `ContinuousKernel`

    Zero-shot transfer is to call the layer on a larger input.

    Args:
        in_channels: I.
        out_channels: O.
        method: see `restool.correlation.correlate`.
        kernel, mask, reference_size: see `ContinuousKernel`, also for errors.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        method: Method = "auto",
        kernel: KernelNetwork,
        mask: GaussianMask | None = None,
        reference_size: int = 16,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel=kernel, mask=mask, reference_size=reference_size)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.method = method

    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, *size] -> [B, O, *size]."""
        kernel = self.factored(signal.shape[2:])
        return correlate(signal, kernel, self.bias, causal=self.causal, method=self.method)

    def sample(self, size: Sequence[int]) -> Tensor:
        """The discrete kernel for an input of a size, cropped to the support of the mask, gain included.

        Args:
            size: (n,), or (height, width).

        Returns:
            [O, I, *K], ready for `correlate`.
        """
        with torch.autocast(self.device.type, enabled=False):
            return self.factored(size).dense()

    def factored(self, size: Sequence[int]) -> FactoredKernel:
        """The same kernel as combinations of the network's masked hidden functions, gain included."""
        return shared_or_own(self, size)
