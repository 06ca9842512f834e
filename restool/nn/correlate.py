"""Cross-correlation of a signal with kernels as large as the signal, by the cheapest of three methods.

    same:    y[i] = sum_k K[k] x[i + k - R]       K has 2R + 1 taps along every axis
    causal:  y[t] = sum_k K[k] x[t + k - (K-1)]   the last tap meets the current step

Both are one rule, y[i] = sum_k K[k] x[i + k - before], where x is zero outside, `before` is R or K - 1.

direct: PyTorch's convolution. fft: spectra of signal and kernel at the smallest exact length, one matrix product per
frequency. basis: the same for a kernel that is a combination of few functions; their spectra are combined instead of
the kernel's taps, so that neither the kernel nor its transform is ever made.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Method = Literal["auto", "direct", "fft", "basis"]

# Costs relative to a multiplication and addition of a direct convolution, from timings of FlexNet layers at 16..64 px.
_MIX_COST = 2.0  # the same in the channel mix
_TRANSFORM_COST = 45.0  # a point of a transform and a factor of two of its length
_PRODUCT_COST = 1.0  # the same where basis functions or their spectra are combined


@dataclass(frozen=True)
class FactoredKernel:
    """A kernel whose channel pairs are combinations of H functions: K[o, i] = sum_h coefficients[o, i, h] basis[h].

    Attributes:
        coefficients: [O, I, H].
        basis: [H, K] or [H, K_y, K_x].
    """

    coefficients: Tensor
    basis: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(O, I, *K), as of the dense kernel."""
        return (*self.coefficients.shape[:2], *self.basis.shape[1:])

    def dense(self) -> Tensor:
        """The kernel's taps, [O, I, *K]."""
        return (self.coefficients.flatten(0, 1) @ self.basis.flatten(1)).view(self.shape)


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
        method: "direct", "fft", "basis" (factored kernels only), or "auto", the cheapest by an operation count.

    Returns:
        [B, O, *size], differentiable with respect to signal, kernel and bias.

    Raises:
        ValueError: an even `same` kernel, a causal kernel in 2D, or a method that is unknown or does not fit.
    """
    taps = kernel.shape[2:]
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, but is {method!r}")
    if causal and len(taps) != 1:
        raise ValueError(f"causal correlation is for 1D signals, but the kernel has {len(taps)} axes")
    if not causal and any(k % 2 == 0 for k in taps):
        raise ValueError(f"kernel must be odd along every axis, but has {tuple(taps)} taps; pad it with a zero tap")
    if method == "auto":
        hidden = len(kernel.basis) if isinstance(kernel, FactoredKernel) else None
        method = cheapest_method(signal.shape, kernel.shape, causal=causal, hidden=hidden)
    if method == "basis":
        if isinstance(kernel, Tensor):
            raise ValueError("method basis needs a FactoredKernel; use direct, fft or auto for a tensor of taps")
        return _spectral(signal, kernel, bias, causal)
    dense = kernel.dense() if isinstance(kernel, FactoredKernel) else kernel
    return (_direct if method == "direct" else _spectral)(signal, dense, bias, causal)


def cheapest_method(
    signal: Sequence[int], kernel: Sequence[int], *, causal: bool = False, hidden: int | None = None
) -> Literal["direct", "fft", "basis"]:
    """Method with the fewest weighted operations; arguments as in `method_costs`."""
    costs = method_costs(signal, kernel, causal=causal, hidden=hidden)
    return min(costs, key=lambda method: costs[method])


def method_costs(
    signal: Sequence[int], kernel: Sequence[int], *, causal: bool = False, hidden: int | None = None
) -> dict[Literal["direct", "fft", "basis"], float]:
    """Weighted operations of every method that fits.

    Args:
        signal: shape [B, I, *S].
        kernel: shape [O, I, *K].
        causal: as in `correlate`.
        hidden: basis functions of a factored kernel, None for a tensor of taps.
    """
    batch, inputs, *size = signal
    outputs, _, *taps = kernel
    pairs = outputs * inputs
    before = _before(taps if causal else [min(k, 2 * n - 1) for k, n in zip(taps, size, strict=True)], causal)
    points = math.prod(fast_length(n + b) for n, b in zip(size, before, strict=True))
    transform = _TRANSFORM_COST * points * math.log2(points)
    spectral = batch * (inputs + outputs) * transform + 2 * _MIX_COST * batch * pairs * points
    direct = float(batch * pairs * math.prod(size) * math.prod(taps))
    if hidden is None:
        return {"direct": direct, "fft": spectral + pairs * transform}
    sampling = _PRODUCT_COST * pairs * hidden * math.prod(taps)
    return {
        "direct": direct + sampling,
        "fft": spectral + pairs * transform + sampling,
        "basis": spectral + hidden * transform + _PRODUCT_COST * pairs * hidden * points,
    }


def fast_length(minimum: int) -> int:
    """Smallest even length >= minimum with no prime factor above 7: what FFT libraries transform fastest."""
    length = minimum + minimum % 2
    while _has_factor_above_7(length):
        length += 2
    return length


def _has_factor_above_7(length: int) -> bool:
    for factor in (2, 3, 5, 7):
        while length % factor == 0:
            length //= factor
    return length > 1


def _direct(signal: Tensor, kernel: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    taps = kernel.shape[2:]
    if len(taps) == 2:
        return F.conv2d(signal, kernel, bias, padding=(taps[0] // 2, taps[1] // 2))
    [before] = _before(taps, causal)
    return F.conv1d(F.pad(signal, (before, taps[0] - 1 - before)), kernel, bias)


def _spectral(signal: Tensor, kernel: Tensor | FactoredKernel, bias: Tensor | None, causal: bool) -> Tensor:
    """Circular correlation of period P >= n + before, with `before` zeros in front of the signal.

    Indices that run over the end by at most `before` (same) wrap into those zeros, so n + before points are exact
    where the usual padding takes n + 2 before.
    """
    size, axes = signal.shape[2:], tuple(range(2, signal.dim()))
    if not causal:
        kernel = _reachable(kernel, size)
    before = _before(kernel.shape[2:], causal)
    period = [fast_length(n + b) for n, b in zip(size, before, strict=True)]
    padding: list[int] = []
    for n, b, p in zip(reversed(size), reversed(before), reversed(period), strict=True):
        padding += [b, p - n - b]
    spectrum = torch.fft.rfftn(F.pad(signal, padding), dim=axes).flatten(2)  # [B, I, F]
    # the channel mix is one matrix product per frequency, on contiguous matrices: anything else is copied one by one
    mixed = spectrum.permute(2, 0, 1).contiguous() @ _conjugate_spectrum(kernel, period)  # [F, B, O]
    mixed = mixed.permute(1, 2, 0).unflatten(2, [*period[:-1], period[-1] // 2 + 1])  # [B, O, *]
    result = torch.fft.irfftn(mixed, s=period, dim=axes)
    result = _take(result, [slice(n) for n in size])
    return result if bias is None else result + bias.view(-1, *[1] * len(size))


def _conjugate_spectrum(kernel: Tensor | FactoredKernel, period: Sequence[int]) -> Tensor:
    """Complex conjugate of the kernel's spectrum, one matrix per frequency: [F, I, O]."""
    axes = tuple(range(-len(period), 0))
    if isinstance(kernel, Tensor):
        spectrum = torch.fft.rfftn(kernel, s=period, dim=axes).flatten(2)  # [O, I, F]
        return spectrum.conj().permute(2, 1, 0).resolve_conj().contiguous()
    outputs, inputs, hidden = kernel.coefficients.shape
    basis = torch.fft.rfftn(kernel.basis, s=period, dim=axes).flatten(1).T  # [F, H]
    weights = kernel.coefficients.permute(2, 1, 0).reshape(hidden, inputs * outputs)
    real, imaginary = basis.real @ weights, basis.imag @ weights  # [F, I O]
    return torch.complex(real, -imaginary).view(-1, inputs, outputs)


def _before(taps: Sequence[int], causal: bool) -> list[int]:
    """Taps in front of the one that meets the output's own position, along every axis."""
    return [k - 1 if causal else k // 2 for k in taps]


def _reachable(kernel: Tensor | FactoredKernel, size: Sequence[int]) -> Tensor | FactoredKernel:
    """Cut taps of a `same` kernel that never meet the signal: offsets of n pixels and more."""
    slices = []
    for taps, n in zip(kernel.shape[2:], size, strict=True):
        cut = max(taps // 2 - (n - 1), 0)
        slices.append(slice(cut, taps - cut))
    if isinstance(kernel, FactoredKernel):
        return FactoredKernel(kernel.coefficients, _take(kernel.basis, slices))
    return _take(kernel, slices)


def _take(tensor: Tensor, slices: Sequence[slice]) -> Tensor:
    """Slices along the last axes."""
    kept: list[slice] = [slice(None)] * (tensor.dim() - len(slices))
    return tensor[(*kept, *slices)]
