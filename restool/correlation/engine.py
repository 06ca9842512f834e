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
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from restool.arguments import require_choice
from restool.correlation.cost import Choice, Way, Work, choose, work
from restool.correlation.factored import FactoredKernel
from restool.correlation.geometry import Geometry
from restool.correlation.prepared import PreparedKernel, prepare_by
from restool.correlation.rates import RATES

Method = Literal["auto", "direct", "fft", "basis", "dft"]
METHODS: tuple[Method, ...] = get_args(Method)


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
    way = choose_method(kernel, signal, causal=causal).way if method == "auto" else method
    return prepare_by(way, kernel, Geometry(tuple(signal.shape[2:]), taps, causal))


def choose_method(kernel: Tensor | FactoredKernel, signal: Tensor, *, causal: bool = False) -> Choice:
    """What "auto" takes for a kernel and a signal, with the predicted seconds of every method that fits.

    The prediction uses the rates that are known of the device, see `restool.correlation.rates`; nothing is measured.
    """
    hidden = len(kernel.basis) if isinstance(kernel, FactoredKernel) else None
    training, device = torch.is_grad_enabled(), signal.device
    dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else signal.dtype
    works = _works(tuple(signal.shape), tuple(kernel.shape), causal, hidden, training)
    return choose(works, RATES.known(device, dtype)[training])


@lru_cache(maxsize=1024)
def _works(
    signal: tuple[int, ...], kernel: tuple[int, ...], causal: bool, hidden: int | None, training: bool
) -> dict[Way, Work]:
    return work(signal, kernel, causal=causal, hidden=hidden, training=training)


def _require_valid(taps: Sequence[int], causal: bool, method: str, *, factored: bool) -> None:
    require_choice("method", method, METHODS)
    if causal and len(taps) != 1:
        raise ValueError(f"causal correlation is for 1D signals, but the kernel has {len(taps)} axes")
    if not causal and any(k % 2 == 0 for k in taps):
        raise ValueError(f"kernel must be odd along every axis, but has {tuple(taps)} taps; pad it with a zero tap")
    if method == "basis" and not factored:
        raise ValueError("method basis needs a FactoredKernel; use direct, fft, dft or auto for a tensor of taps")
