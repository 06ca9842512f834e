"""Cross-correlation of a signal with kernels as large as the signal: directly, or by FFT at the smallest exact length.

    same:    y[i] = sum_k K[k] x[i + k - R]       K has 2R + 1 taps along every axis
    causal:  y[t] = sum_k K[k] x[t + k - (K-1)]   the last tap meets the current step

Both are one rule, y[i] = sum_k K[k] x[i + k - before], where x is zero outside, `before` is R or K - 1.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Method = Literal["auto", "direct", "fft"]

# Cost of the two methods relative to each other, from timings of FlexNet layers at 16..64 px.
_MIX_COST = 2.0  # a real multiplication and addition of the channel mix, in those of a direct convolution
_TRANSFORM_COST = 45.0  # a point of a transform and a factor of two of its length, likewise


def correlate(
    signal: Tensor,
    kernel: Tensor,
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
        method: "direct", "fft", or "auto", the cheaper of the two by an operation count.

    Returns:
        [B, O, *size], differentiable with respect to signal, kernel and bias.

    Raises:
        ValueError: an even `same` kernel, a causal kernel in 2D, or an unknown method.
    """
    taps = kernel.shape[2:]
    if causal and len(taps) != 1:
        raise ValueError(f"causal correlation is for 1D signals, but the kernel has {len(taps)} axes")
    if not causal and any(k % 2 == 0 for k in taps):
        raise ValueError(f"kernel must be odd along every axis, but has {tuple(taps)} taps; pad it with a zero tap")
    if method == "auto":
        method = cheapest_method(signal.shape, kernel.shape, causal=causal)
    if method == "direct":
        return _direct(signal, kernel, bias, causal)
    if method == "fft":
        return _fft(signal, kernel, bias, causal)
    raise ValueError(f"method must be auto, direct or fft, but is {method!r}")


def cheapest_method(signal: Sequence[int], kernel: Sequence[int], *, causal: bool = False) -> Literal["direct", "fft"]:
    """Method with the fewer weighted operations for a signal [B, I, *S] and a kernel [O, I, *K]."""
    batch, inputs, *size = signal
    outputs, _, *taps = kernel
    direct = batch * outputs * inputs * math.prod(size) * math.prod(taps)
    before = [k - 1 if causal else min(k // 2, n - 1) for n, k in zip(size, taps, strict=True)]
    points = math.prod(fast_length(n + b) for n, b in zip(size, before, strict=True))
    transforms = (batch * (inputs + outputs) + outputs * inputs) * points * math.log2(points)
    mix = batch * outputs * inputs * points / 2
    return "direct" if direct <= 4 * _MIX_COST * mix + _TRANSFORM_COST * transforms else "fft"


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
    before = taps[0] - 1 if causal else taps[0] // 2
    return F.conv1d(F.pad(signal, (before, taps[0] - 1 - before)), kernel, bias)


def _fft(signal: Tensor, kernel: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    """Circular correlation of period P >= n + before, with `before` zeros in front of the signal.

    Indices that run over the end by at most `before` (same) wrap into those zeros, so n + before points are exact
    where the usual padding takes n + 2 before.
    """
    size, axes = signal.shape[2:], tuple(range(2, signal.dim()))
    if not causal:
        kernel = _reachable(kernel, size)
    before = [k - 1 if causal else k // 2 for k in kernel.shape[2:]]
    period = [fast_length(n + b) for n, b in zip(size, before, strict=True)]
    padding: list[int] = []
    for n, b, p in zip(reversed(size), reversed(before), reversed(period), strict=True):
        padding += [b, p - n - b]
    spectrum = torch.fft.rfftn(F.pad(signal, padding), dim=axes).flatten(2)  # [B, I, F]
    kernel_spectrum = torch.fft.rfftn(kernel, s=period, dim=axes).flatten(2)  # [O, I, F]
    # the channel mix is one matrix product per frequency, on contiguous matrices: anything else is copied one by one
    left = spectrum.permute(2, 0, 1).contiguous()  # [F, B, I]
    right = kernel_spectrum.conj().permute(2, 1, 0).resolve_conj().contiguous()  # [F, I, O]
    mixed = (left @ right).permute(1, 2, 0).unflatten(2, [*period[:-1], period[-1] // 2 + 1])  # [B, O, *]
    result = torch.fft.irfftn(mixed, s=period, dim=axes)
    result = _take(result, [slice(n) for n in size])
    return result if bias is None else result + bias.view(-1, *[1] * len(size))


def _reachable(kernel: Tensor, size: Sequence[int]) -> Tensor:
    """Cut taps of a `same` kernel that never meet the signal: offsets of n pixels and more."""
    slices = []
    for taps, n in zip(kernel.shape[2:], size, strict=True):
        cut = max(taps // 2 - (n - 1), 0)
        slices.append(slice(cut, taps - cut))
    return _take(kernel, slices)


def _take(tensor: Tensor, slices: Sequence[slice]) -> Tensor:
    """Slices along the last axes."""
    return tensor[(slice(None), slice(None), *slices)]
