"""Correlation as one product per frequency, for kernels of taps and for combinations of few functions.

    Y[f] = X[f] conj(K)[f],   conj(K)[f, i, o] = sum_h basis[f, h] coefficients[h, i, o]

A part of the rows of the spectrum is analysed, mixed and synthesised at a time, small enough to stay in the cache of a
CPU. The parts of small spectra are kept for the gradient. Of large ones nothing is kept, and the gradient computes them
again: a training step then holds no spectrum of a signal and never makes that of a whole factored kernel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from restool.nn.factored import FactoredKernel
from restool.nn.geometry import Geometry, fast_lengths
from restool.nn.products import exact_products
from restool.nn.transforms import Kind, Transform, transform

PART_BYTES = {"cpu": 16 << 20, "cuda": 64 << 20}
"""Size of a part: half of the last cache of a CPU; enough on a GPU to fill it with one batch of products."""
KEPT_BYTES = 32 << 20
"""Largest size of all parts together that are kept for the gradient."""


@dataclass(frozen=True)
class KernelSpectrum:
    """Complex conjugate of a kernel's spectrum as two planes, centred on the tap that meets the output's own point.

    Attributes:
        planes: [2, F, I, O], or [2, F, H] of the basis functions of a factored kernel.
        coefficients: [H, I, O] of a factored kernel, else None.
        kind: transform of the signals.
        size: (n_y, n_x) of the signals.
        period: (P_y, P_x).
    """

    planes: Tensor
    coefficients: Tensor | None
    kind: Kind
    size: tuple[int, int]
    period: tuple[int, int]

    @property
    def mixed_bytes(self) -> int:
        """Memory of the planes of `mixed`."""
        pairs = self.planes.shape[2:] if self.coefficients is None else self.coefficients.shape[1:]
        return 2 * self.planes.shape[1] * math.prod(pairs) * self.planes.element_size()

    def mixed(self) -> "KernelSpectrum":
        """The same with the spectrum of every channel pair, computed once for all signals to come."""
        if self.coefficients is None:
            return self
        planes = (self.planes @ self.coefficients.flatten(1)).unflatten(2, self.coefficients.shape[1:])
        return KernelSpectrum(planes, None, self.kind, self.size, self.period)


def kernel_spectrum(kernel: Tensor | FactoredKernel, geometry: Geometry, kind: Kind) -> KernelSpectrum:
    """The spectrum of a kernel for signals of one size; differentiable.

    Args:
        kernel: taps [O, I, *K], or factored.
        geometry: of kernel and signal.
        kind: transform of the signals. For the DFT the period is the shortest that is exact, for the FFT a fast one.
    """
    period = geometry.shortest_period if kind == "dft" else fast_lengths(geometry.shortest_period)
    functions = kernel.basis if isinstance(kernel, FactoredKernel) else kernel.flatten(0, 1)
    axes = tuple(range(1, functions.dim()))
    taps = geometry.reachable(functions)
    padding = [side for k, p in zip(reversed(taps.shape[1:]), reversed(period), strict=True) for side in (0, p - k)]
    centred = F.pad(taps, padding).roll([-b for b in geometry.before], axes)
    spectrum = torch.fft.rfftn(centred, dim=axes).conj().movedim((0, -1), (-1, 0)).flatten(0, -2)  # [F, H or O I]
    planes = torch.stack([spectrum.real, spectrum.imag])
    coefficients = None
    if isinstance(kernel, FactoredKernel):
        coefficients = kernel.coefficients.permute(2, 1, 0).contiguous()
    else:
        planes = planes.unflatten(2, kernel.shape[:2]).mT.contiguous()
    return KernelSpectrum(planes, coefficients, kind, as_image(geometry.size), as_image(period))


def correlate_spectrum(signal: Tensor, kernel: KernelSpectrum, bias: Tensor | None) -> Tensor:
    """Correlate [B, I, *size] with a kernel whose spectrum is known: [B, O, *size], in the signal's dtype."""
    image = signal.reshape(*signal.shape[:2], *kernel.size)
    over = transform(kernel.kind, kernel.size, kernel.period, signal.dtype, signal.device)
    with torch.autocast(signal.device.type, enabled=False), exact_products(signal.device):
        result: Tensor = _Correlation.apply(image, kernel.planes, kernel.coefficients, bias, over)
    return result.view(*result.shape[:2], *signal.shape[2:])


def as_image(size: Sequence[int]) -> tuple[int, int]:
    """(n_y, n_x) of an image or, with n_y = 1, of a sequence."""
    return (size[0], size[1]) if len(size) == 2 else (1, size[0])


class _Correlation(torch.autograd.Function):
    """(signal [B, I, n_y, n_x], planes, coefficients or None, bias or None, transform) -> [B, O, n_y, n_x]."""

    @staticmethod
    def forward(
        ctx: Any, signal: Tensor, planes: Tensor, coefficients: Tensor | None, bias: Tensor | None, over: Transform
    ) -> Tensor:
        outputs = (planes if coefficients is None else coefficients).shape[-1]
        ctx.over, ctx.bias_dtype = over, None if bias is None else bias.dtype
        opened, gathered = over.open(signal), over.blank(len(signal), outputs)
        keep, kept = over.rows * _row_bytes(over, signal, outputs) <= KEPT_BYTES, []
        for rows in _parts(over, signal, outputs):
            spectrum = over.read(opened, rows)
            mix = _mix(planes, coefficients, rows, over, signal.dtype)
            product = _multiply(spectrum, mix)
            kept += [spectrum, mix] if keep and any(ctx.needs_input_grad) else []
            if bias is not None and rows.start == 0:
                product[0, 0] += bias * over.points  # a constant is the spectrum's first point
            over.write(gathered, rows, product)
        ctx.save_for_backward(signal, planes, coefficients, *kept)
        return over.close(gathered)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        with exact_products(upstream.device):
            return _gradients(ctx, upstream)


def _gradients(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of `_Correlation` for every input that asks for one."""
    signal, planes, coefficients, *kept = ctx.saved_tensors
    over: Transform = ctx.over
    of_signal, of_kernel = ctx.needs_input_grad[0], ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
    opened = None if kept or not of_kernel else over.open(signal)
    opened_upstream = over.open(upstream)
    gathered = over.blank(*signal.shape[:2]) if of_signal else None
    gradient = _KernelGradient(planes, coefficients, over) if of_kernel else None
    bias = None
    for index, rows in enumerate(_parts(over, signal, upstream.shape[1])):
        read = over.read(opened_upstream, rows)
        if ctx.bias_dtype is not None and rows.start == 0:
            bias = read[0, 0].sum(0, dtype=ctx.bias_dtype)  # the first point is the sum over the signal
        if gathered is not None:
            mix = kept[2 * index + 1] if kept else _mix(planes, coefficients, rows, over, signal.dtype)
            over.write(gathered, rows, _multiply(read, mix.mT, conjugate="right"))
        if gradient is not None:
            spectrum = kept[2 * index] if opened is None else over.read(opened, rows)
            gradient.add(rows, _multiply(spectrum.mT, read, conjugate="left"))
    return (
        None if gathered is None else over.close(gathered),
        None if gradient is None else gradient.planes,
        None if gradient is None else gradient.coefficients,
        bias,
        None,
    )


class _KernelGradient:
    """Gathers the gradient of a kernel's spectrum part by part."""

    def __init__(self, planes: Tensor, coefficients: Tensor | None, over: Transform) -> None:
        self.planes, self.over = torch.empty_like(planes), over
        self.given = planes, coefficients
        self.coefficients = None if coefficients is None else torch.zeros_like(coefficients)

    def add(self, rows: slice, product: Tensor) -> None:
        """Take in conj(X)^T G of some rows, [2, f P_y, I, O]."""
        planes, coefficients = self.given
        inside = _inside(rows, self.over)
        weights = self.over.weights[rows].to(planes.dtype).repeat_interleave(self.over.row_length)
        product = product.to(planes.dtype)
        if coefficients is None or self.coefficients is None:
            torch.mul(product, weights[:, None, None], out=self.planes[:, inside])
            return
        pairs = product.flatten(2)  # [2, f P_y, I O]
        self.planes[:, inside] = (pairs @ coefficients.flatten(1).T) * weights[:, None]
        weighted = planes[:, inside] * weights[:, None]
        self.coefficients.flatten(1).addmm_(weighted.flatten(0, 1).T, pairs.flatten(0, 1))


def _parts(over: Transform, signal: Tensor, outputs: int) -> list[slice]:
    """Rows of the spectrum, some at a time."""
    step = max(1, PART_BYTES.get(signal.device.type, PART_BYTES["cuda"]) // _row_bytes(over, signal, outputs))
    return [slice(start, min(start + step, over.rows)) for start in range(0, over.rows, step)]


def _row_bytes(over: Transform, signal: Tensor, outputs: int) -> int:
    """Of the spectra of signal, output and kernel."""
    batch, inputs = signal.shape[:2]
    return 2 * over.row_length * (batch * (inputs + outputs) + inputs * outputs) * signal.element_size()


def _inside(rows: slice, over: Transform) -> slice:
    return slice(rows.start * over.row_length, rows.stop * over.row_length)


def _mix(planes: Tensor, coefficients: Tensor | None, rows: slice, over: Transform, dtype: torch.dtype) -> Tensor:
    """Kernel spectrum of some rows: [2, f P_y, I, O]."""
    part = planes[:, _inside(rows, over)]
    if coefficients is not None:
        part = (part @ coefficients.flatten(1)).unflatten(2, coefficients.shape[1:])
    return part.to(dtype)


def _multiply(left: Tensor, right: Tensor, *, conjugate: Literal["none", "left", "right"] = "none") -> Tensor:
    """Complex matrix products of planes [2, F, M, K] and [2, F, K, N], one factor conjugated if asked."""
    result = left.new_empty(2, left.shape[1], left.shape[2], right.shape[3])
    real, imaginary = left
    torch.bmm(real, right[0], out=result[0]).baddbmm_(imaginary, right[1], alpha=-1 if conjugate == "none" else 1)
    torch.bmm(real, right[1], out=result[1]).baddbmm_(
        imaginary, right[0], beta=-1 if conjugate == "right" else 1, alpha=-1 if conjugate == "left" else 1
    )
    return result
