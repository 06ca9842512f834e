"""Assertions that state the laws of resolution, for tests of restool and of layers built on it."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from restool.correlation import correlate
from restool.nn import ContinuousConv

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
"""An error may be this share of the largest value, by dtype."""


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Largest |actual - expected| over the largest |expected|, in float64; where all of `expected` is 0, the first."""
    assert actual.shape == expected.shape, f"shapes differ: {tuple(actual.shape)} and {tuple(expected.shape)}"
    actual, expected = actual.detach().double().cpu(), expected.detach().double().cpu()
    error, scale = (actual - expected).abs().max().item(), expected.abs().max().item()
    return error / scale if scale > 0 else error


def assert_close(actual: Tensor, expected: Tensor, *, tolerance: float | None = None) -> None:
    """Assert that the relative error is within the tolerance, by default that of `actual`'s dtype.

    Args:
        actual: what was computed.
        expected: of the same shape, in any dtype.
        tolerance: error over the largest value; give one only with its reason.
    """
    limit = TOLERANCE[actual.dtype] if tolerance is None else tolerance
    error = relative_error(actual, expected)
    assert error <= limit, f"relative error {error:.2e} is above {limit:.0e}"  # a NaN fails too


def every_second(finer: Tensor, dims: int, *, causal: bool) -> Tensor:
    """Every second entry along the last `dims` axes, through the middle one, or through the last where causal."""
    kept = finer.dim() - dims
    anchors = [n - 1 if causal else n // 2 for n in finer.shape[kept:]]
    return finer[(slice(None),) * kept + tuple(slice(anchor % 2, None, 2) for anchor in anchors)]


def assert_grids_nest(
    coordinates: Callable[[int], Tensor], sizes: Iterable[int] = range(4, 66), *, causal: bool = False
) -> None:
    """Assert without tolerance that every second point of the grid for 2n is the grid for n.

    Args:
        coordinates: size -> ascending coordinates [K].
        sizes: the n to try, even and odd.
        causal: count from the last point (lag 0) instead of the one in the middle (offset 0).
    """
    for n in sizes:
        subsampled = every_second(coordinates(2 * n), 1, causal=causal)
        assert torch.equal(subsampled, coordinates(n)), f"the grid for {n} does not nest in the one for {2 * n}"


def assert_requery_consistent(conv: ContinuousConv, size: Sequence[int]) -> None:
    """Assert that a layer's kernel is one function, whatever size it is sampled for and in whatever order.

    Every second tap of the kernel for 2n, times 2^D for the area of a pixel, is the kernel for n within the dtype's
    tolerance (vectorised exp and sin differ in the last bit from tap to tap), and the output at 2n is that of the
    kernel for 2n. Calls at 2n change neither the state dict nor a bit of the result at n.

    Args:
        conv: the layer.
        size: n along every axis of its input.
    """
    shape = (1, conv.in_channels, *size)
    signal = torch.linspace(-1, 1, math.prod(shape)).to(conv.bias).view(shape)
    doubled = signal.repeat(1, 1, *[2] * len(size))
    state = {key: value.clone() for key, value in conv.state_dict().items()}
    with torch.no_grad():
        coarse, before = conv.sample(size), conv(signal)
        fine, output = conv.sample(doubled.shape[2:]), conv(doubled)
        again, after = conv.sample(size), conv(signal)
        expected = correlate(doubled, fine, conv.bias, causal=conv.causal)
    assert relative_error(output, expected) <= TOLERANCE[output.dtype], "the output is not that of the input's own grid"
    assert_close(every_second(fine, len(size), causal=conv.causal) * 2 ** len(size), coarse)
    assert torch.equal(coarse, again), "the kernel depends on the sizes seen before"
    assert torch.equal(before, after), "the output depends on the sizes seen before"
    assert conv.state_dict().keys() == state.keys(), "a call at another size added or removed state"
    for key, value in conv.state_dict().items():
        assert torch.equal(value, state[key]), f"a call at another size changed {key}"


def assert_methods_agree(
    signal_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    causal: bool = False,
    dtype: torch.dtype = torch.float32,
    correlation: Callable[..., Tensor] = correlate,
) -> None:
    """Assert that direct, FFT and DFT correlation equal PyTorch's zero-padded one in float64, gradients too.

    Args:
        signal_shape: [B, I, *S].
        kernel_shape: [O, I, *K].
        causal: as in `correlate`.
        dtype: to compute in; it sets the tolerance.
        correlation: with the arguments of `correlate`.
    """
    random = torch.Generator().manual_seed(0)
    shapes = signal_shape, kernel_shape, kernel_shape[:1]
    inputs = [torch.randn(*shape, generator=random, dtype=torch.float64) for shape in shapes]
    upstream = torch.randn(signal_shape[0], kernel_shape[0], *signal_shape[2:], generator=random, dtype=torch.float64)
    expected = _output_and_gradients(partial(_padded_correlation, causal=causal), inputs, upstream)
    for method in ("direct", "fft", "dft"):
        ours = partial(correlation, causal=causal, method=method)
        actual = _output_and_gradients(ours, [tensor.to(dtype) for tensor in inputs], upstream.to(dtype))
        for result, oracle in zip(actual, expected, strict=True):
            assert_close(result, oracle)


def _padded_correlation(signal: Tensor, kernel: Tensor, bias: Tensor, *, causal: bool) -> Tensor:
    padding: list[int] = []
    for taps in reversed(kernel.shape[2:]):
        padding += [taps - 1, 0] if causal else [taps // 2, taps // 2]
    convolution = F.conv1d if signal.dim() == 3 else F.conv2d
    return convolution(F.pad(signal, padding), kernel, bias)


def _output_and_gradients(function: Callable[..., Tensor], inputs: list[Tensor], upstream: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    output = function(*leaves)
    return [output, *torch.autograd.grad(output, leaves, upstream)]
