"""Kernels made ready by one method for signals of one size."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restool.correlation.cost import Way
from restool.correlation.factored import FactoredKernel
from restool.correlation.geometry import Geometry
from restool.correlation.kernel_spectrum import Domain, KernelSpectrum, kernel_spectrum
from restool.correlation.layout import channels_last, is_batch_last
from restool.correlation.spectral import correlate_spectrum


@dataclass(frozen=True)
class PreparedTaps:
    """A kernel for PyTorch's convolution.

    Attributes:
        geometry: of kernel and signals.
        taps: [O, I, *K].
    """

    geometry: Geometry
    taps: Tensor

    @property
    def bytes(self) -> int:
        """Memory it holds."""
        return self.taps.numel() * self.taps.element_size()

    @property
    def mixed_bytes(self) -> int:
        """Memory that `mixed` holds."""
        return self.bytes

    def mixed(self) -> "PreparedTaps":
        """Itself: nothing is left to be made for a signal."""
        return self

    def correlate(self, signal: Tensor, bias: Tensor | None = None) -> Tensor:
        """Correlate signals [B, I, *size]: [B, O, *size].

        Raises:
            ValueError: the signal has another size.
        """
        _require_size(signal, self.geometry)
        taps, before = self.geometry.taps, self.geometry.taps[0] // 2
        if len(taps) == 2:
            signal = channels_last(signal) if is_batch_last(signal) else signal
            return F.conv2d(signal, self.taps, bias, padding=(before, taps[1] // 2))
        before = taps[0] - 1 if self.geometry.causal else before
        return F.conv1d(F.pad(signal, (before, taps[0] - 1 - before)), self.taps, bias)


@dataclass(frozen=True)
class PreparedSpectrum:
    """A kernel for products per frequency.

    Attributes:
        geometry: of kernel and signals.
        spectrum: of the kernel.
        domain: where it meets the spectra of signals.
    """

    geometry: Geometry
    spectrum: KernelSpectrum
    domain: Domain

    @property
    def bytes(self) -> int:
        """Memory it holds."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.spectrum.tensors)

    @property
    def mixed_bytes(self) -> int:
        """Memory that `mixed` holds."""
        return self.spectrum.mixed_bytes

    def mixed(self) -> "PreparedSpectrum":
        """The same with the matrices of every frequency made once, not anew for every signal."""
        return PreparedSpectrum(self.geometry, self.spectrum.mixed(), self.domain)

    def correlate(self, signal: Tensor, bias: Tensor | None = None) -> Tensor:
        """As `PreparedTaps.correlate`."""
        _require_size(signal, self.geometry)
        device = signal.device.type
        if not torch.is_autocast_enabled(device):
            return correlate_spectrum(signal, self.spectrum, self.domain, bias)
        autocast = torch.get_autocast_dtype(device)
        compute = autocast if self.domain.kind == "dft" else torch.float32  # there is no FFT of bfloat16
        return correlate_spectrum(signal.to(compute), self.spectrum, self.domain, bias).to(autocast)


PreparedKernel = PreparedTaps | PreparedSpectrum


def prepare_by(way: Way, kernel: Tensor | FactoredKernel, geometry: Geometry) -> PreparedKernel:
    """Make a kernel [O, I, *K] ready for signals by a method that fits it."""
    device = kernel.coefficients.device if isinstance(kernel, FactoredKernel) else kernel.device
    with torch.autocast(device.type, enabled=False):
        if isinstance(kernel, FactoredKernel) and way in ("direct", "fft"):
            kernel = kernel.dense()
        if isinstance(kernel, Tensor) and way == "direct":
            return PreparedTaps(geometry, kernel)
        return PreparedSpectrum(geometry, *kernel_spectrum(kernel, geometry, "dft" if way == "dft" else "fft"))


def _require_size(signal: Tensor, geometry: Geometry) -> None:
    if tuple(signal.shape[2:]) != geometry.size:
        raise ValueError(f"the kernel is prepared for size {geometry.size}, got {tuple(signal.shape[2:])}")
