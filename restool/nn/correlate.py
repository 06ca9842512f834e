"""Cross-correlation of a signal with kernels as large as the signal, by the cheapest of four methods.

    same:    y[i] = sum_k K[k] x[i + k - R]       K has 2R + 1 taps along every axis
    causal:  y[t] = sum_k K[k] x[t + k - (K-1)]   the last tap meets the current step

    direct   PyTorch's convolution
    fft      spectra of signal and kernel by FFT, one matrix product per frequency
    basis    the same for a kernel that is a combination of few functions: their spectra are combined instead of taps
    dft      as basis (or as fft, for taps), but the signal's spectrum is itself a product with a small matrix

All give the same result up to rounding. Under autocast `direct` and `dft` compute in the autocast dtype, `fft` and
`basis` in float32 (there is no FFT of bfloat16); kernels and their spectra are always made in their own dtype.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from restool.nn.calibration import rates
from restool.nn.cost import Choice, Way, Work, choose, work
from restool.nn.factored import FactoredKernel
from restool.nn.geometry import Geometry
from restool.nn.kernel_spectrum import KernelSpectrum, kernel_spectrum
from restool.nn.layout import channels_last, is_batch_last
from restool.nn.spectral import correlate_spectrum

Method = Literal["auto", "direct", "fft", "basis", "dft"]


@dataclass(frozen=True)
class PreparedKernel:
    """A kernel made ready for signals of one size, to be used for many of them.

    Attributes:
        geometry: of kernel and signals.
        way: method it is made ready for.
        taps: [O, I, *K] for the direct method.
        spectrum: for the others.
    """

    geometry: Geometry
    way: Way
    taps: Tensor | None = None
    spectrum: KernelSpectrum | None = None

    @property
    def bytes(self) -> int:
        """Memory it holds."""
        parts = [self.taps] if self.spectrum is None else [self.spectrum.values, self.spectrum.coefficients]
        return sum(part.numel() * part.element_size() for part in parts if part is not None)

    @property
    def mixed_bytes(self) -> int:
        """Memory that `mixed` holds."""
        return self.bytes if self.spectrum is None else self.spectrum.mixed_bytes

    def mixed(self) -> "PreparedKernel":
        """The same with the matrices of every frequency made once, not anew for every signal."""
        if self.spectrum is None:
            return self
        return PreparedKernel(self.geometry, self.way, spectrum=self.spectrum.mixed())

    def correlate(self, signal: Tensor, bias: Tensor | None = None) -> Tensor:
        """Correlate signals [B, I, *size]: [B, O, *size].

        Raises:
            ValueError: the signal has another size.
        """
        if tuple(signal.shape[2:]) != self.geometry.size:
            raise ValueError(f"the kernel is prepared for size {self.geometry.size}, got {tuple(signal.shape[2:])}")
        device = signal.device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        if self.spectrum is None:
            assert self.taps is not None
            return _direct(signal, self.taps, bias, self.geometry.causal)
        if autocast is None:
            return correlate_spectrum(signal, self.spectrum, bias)
        compute = autocast if self.spectrum.kind == "dft" else torch.float32
        return correlate_spectrum(signal.to(compute), self.spectrum, bias).to(autocast)


def correlate(
    signal: Tensor,
    kernel: Tensor | FactoredKernel,
    bias: Tensor | None = None,
    *,
    causal: bool = False,
    method: Method = "auto",
) -> Tensor:
    """Cross-correlate with stride 1 and zero padding; the output has the size of the input.

    Args:
        signal: [B, I, L] or [B, I, H, W].
        kernel: [O, I, K] or [O, I, K_y, K_x]; odd along every axis unless causal. May be larger than the signal.
        bias: [O], added to every position.
        causal: outputs see the current and earlier positions only (1D).
        method: "direct", "fft", "basis" (factored kernels only), "dft", or "auto", the cheapest on this device.

    Returns:
        [B, O, *size], once differentiable with respect to signal, kernel and bias.

    Raises:
        ValueError: an even `same` kernel, a causal kernel in 2D, or a method that is unknown or does not fit.
    """
    return prepare(kernel, signal, causal=causal, method=method).correlate(signal, bias)


def prepare(
    kernel: Tensor | FactoredKernel, signal: Tensor, *, causal: bool = False, method: Method = "auto"
) -> PreparedKernel:
    """Make a kernel ready for signals like the one given; arguments and errors as in `correlate`."""
    taps = tuple(kernel.shape[2:])
    _require_valid(taps, causal, method, factored=isinstance(kernel, FactoredKernel))
    geometry = Geometry(tuple(signal.shape[2:]), taps, causal)
    way = choose_method(kernel, signal, causal=causal).way if method == "auto" else method
    with torch.autocast(signal.device.type, enabled=False):
        if isinstance(kernel, FactoredKernel) and way in ("direct", "fft"):
            kernel = kernel.dense()
        if isinstance(kernel, Tensor) and way == "direct":
            return PreparedKernel(geometry, way, taps=kernel)
        spectrum = kernel_spectrum(kernel, geometry, "dft" if way == "dft" else "fft")
        return PreparedKernel(geometry, way, spectrum=spectrum)


def choose_method(kernel: Tensor | FactoredKernel, signal: Tensor, *, causal: bool = False) -> Choice:
    """What "auto" takes for a kernel and a signal, with the predicted seconds of every method that fits."""
    hidden = len(kernel.basis) if isinstance(kernel, FactoredKernel) else None
    training, device = torch.is_grad_enabled(), signal.device
    dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else signal.dtype
    works = _works(tuple(signal.shape), tuple(kernel.shape), causal, hidden, training)
    return choose(works, rates(device, dtype, correlate)[training])


@lru_cache(maxsize=1024)
def _works(
    signal: tuple[int, ...], kernel: tuple[int, ...], causal: bool, hidden: int | None, training: bool
) -> dict[Way, Work]:
    return work(signal, kernel, causal=causal, hidden=hidden, training=training)


def _require_valid(taps: Sequence[int], causal: bool, method: str, *, factored: bool) -> None:
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, but is {method!r}")
    if causal and len(taps) != 1:
        raise ValueError(f"causal correlation is for 1D signals, but the kernel has {len(taps)} axes")
    if not causal and any(k % 2 == 0 for k in taps):
        raise ValueError(f"kernel must be odd along every axis, but has {tuple(taps)} taps; pad it with a zero tap")
    if method == "basis" and not factored:
        raise ValueError("method basis needs a FactoredKernel; use direct, fft, dft or auto for a tensor of taps")


def _direct(signal: Tensor, kernel: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    taps = kernel.shape[2:]
    if len(taps) == 2:
        signal = channels_last(signal) if is_batch_last(signal) else signal
        return F.conv2d(signal, kernel, bias, padding=(taps[0] // 2, taps[1] // 2))
    before = taps[0] - 1 if causal else taps[0] // 2
    return F.conv1d(F.pad(signal, (before, taps[0] - 1 - before)), kernel, bias)
