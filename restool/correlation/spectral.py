"""Correlation as one product per frequency, for kernels of taps and for combinations of few functions.

    Y[f] = conj(K)[f] X[f]

A part of the rows of the spectrum is analysed, mixed and synthesised at a time, small enough to stay in the cache of a
CPU. The parts of small spectra are kept for the gradient. Of large ones nothing is kept, and the gradient computes them
again: a training step then holds no spectrum of a signal and never makes that of a whole factored kernel.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from restool.correlation.kernel_spectrum import (
    Domain,
    FactoredSpectrum,
    KernelSpectrum,
    MatrixSpectrum,
    adjoint_of_matrices,
)
from restool.correlation.products import exact_products
from restool.correlation.transforms import Transform, transform

PART_BYTES = {"cpu": 16 << 20, "cuda": 64 << 20}
"""A part is as large as half of the last cache of a CPU; on a GPU it is large enough to fill it with one product."""
KEPT_BYTES = 32 << 20
"""Spectra are kept for the gradient where all parts together are no larger than this."""


def correlate_spectrum(signal: Tensor, kernel: KernelSpectrum, domain: Domain, bias: Tensor | None) -> Tensor:
    """Correlate [B, I, *size] with a kernel whose spectrum is known: [B, O, *size], in the signal's dtype.

    Of a contiguous signal the result is contiguous. Of others it lies as the method leaves it, for `dft` batch last.
    """
    image = signal.reshape(*signal.shape[:2], *domain.size)
    over = transform(domain.kind, domain.size, domain.period, signal.dtype, signal.device)
    with torch.autocast(signal.device.type, enabled=False), exact_products(signal.device):
        result: Tensor = _Correlation.apply(image, bias, over, type(kernel), *kernel.tensors)
    return result.view(*result.shape[:2], *signal.shape[2:])


class _Correlation(torch.autograd.Function):
    """(signal [B, I, n_y, n_x], bias or None, transform, class of spectrum, *its tensors) -> [B, O, n_y, n_x]."""

    @staticmethod
    def forward(
        ctx: Any, signal: Tensor, bias: Tensor | None, over: Transform, spectrum_of: type[Any], *tensors: Tensor
    ) -> Tensor:
        kernel: KernelSpectrum = spectrum_of(*tensors)
        ctx.over, ctx.spectrum_of, ctx.bias_dtype = over, spectrum_of, None if bias is None else bias.dtype
        opened, gathered = over.open(signal), over.blank(len(signal), kernel.outputs)
        keep, kept = over.rows * _row_bytes(over, signal, kernel.outputs) <= KEPT_BYTES, []
        for rows in _parts(over, signal, kernel.outputs):
            spectrum = over.read(opened, rows)
            matrices = kernel.part(over.frequencies_of(rows)).to(signal.dtype)
            kept += [spectrum] if keep and any(ctx.needs_input_grad) else []
            over.write(gathered, rows, torch.bmm(matrices, spectrum))
        result = over.close(gathered)
        if bias is not None:
            result += bias[:, None, None]
        ctx.save_for_backward(signal, *tensors, *kept)
        return _as_given(result, signal)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        with exact_products(upstream.device):
            return _gradients(ctx, upstream)


def _gradients(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of `_Correlation` for every input that asks for one."""
    of_signal, of_kernel = ctx.needs_input_grad[0], ctx.needs_input_grad[4:]
    signal, *saved = ctx.saved_tensors
    tensors, kept = saved[: len(of_kernel)], saved[len(of_kernel) :]
    over: Transform = ctx.over
    kernel: KernelSpectrum = ctx.spectrum_of(*tensors)
    outputs = upstream.shape[1]
    opened = None if kept or not any(of_kernel) else over.open(signal)
    opened_upstream = over.open(upstream)
    gathered = over.blank(*signal.shape[:2]) if of_signal else None
    adjoint = kernel.adjoint() if of_signal else None
    gradient = _gradient_of(kernel, over) if any(of_kernel) else None
    for index, rows in enumerate(_parts(over, signal, outputs)):
        read = over.read(opened_upstream, rows)
        if gathered is not None and adjoint is not None:
            matrices = adjoint.part(over.frequencies_of(rows)).to(signal.dtype)
            over.write(gathered, rows, torch.bmm(matrices, read))
        if gradient is not None:
            spectrum = kept[index] if opened is None else over.read(opened, rows)
            gradient.add(rows, torch.bmm(read, spectrum.mT))
    return (
        None if gathered is None else _as_given(over.close(gathered), signal),
        None if ctx.bias_dtype is None else upstream.sum((0, 2, 3), dtype=ctx.bias_dtype),
        None,
        None,
        *([None] * len(tensors) if gradient is None else gradient.tensors),
    )


class _MatrixGradient:
    """Gathers the gradient of a `MatrixSpectrum` part by part."""

    def __init__(self, kernel: MatrixSpectrum, over: Transform) -> None:
        self.over, self.matrices = over, torch.empty_like(kernel.matrices)

    def add(self, rows: slice, product: Tensor) -> None:
        """Take in G X^T of some rows, [f P_x, 2 O, 2 I]."""
        into = self.matrices[self.over.frequencies_of(rows)]
        torch.mul(product.to(into.dtype), self.over.weights_of(rows, into.dtype), out=into)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """In the order of the spectrum's."""
        return (self.matrices,)


class _FactoredGradient:
    """Gathers the gradient of a `FactoredSpectrum` part by part."""

    def __init__(self, kernel: FactoredSpectrum, over: Transform) -> None:
        self.kernel, self.over = kernel, over
        self.planes, self.coefficients = torch.empty_like(kernel.planes), torch.zeros_like(kernel.coefficients)

    def add(self, rows: slice, product: Tensor) -> None:
        """Take in G X^T of some rows, [f P_x, 2 O, 2 I]."""
        inside, dtype = self.over.frequencies_of(rows), self.planes.dtype
        weights = self.over.weights_of(rows, dtype)
        planes = adjoint_of_matrices(product.to(dtype)).flatten(2)  # [f P_x, 2, O I]
        self.planes[inside] = (planes @ self.kernel.coefficients.flatten(1).T) * weights
        weighted = self.kernel.planes[inside] * weights
        self.coefficients.flatten(1).addmm_(weighted.flatten(0, 1).T, planes.flatten(0, 1))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """In the order of the spectrum's."""
        return self.planes, self.coefficients


def _gradient_of(kernel: KernelSpectrum, over: Transform) -> _MatrixGradient | _FactoredGradient:
    if isinstance(kernel, MatrixSpectrum):
        return _MatrixGradient(kernel, over)
    return _FactoredGradient(kernel, over)


def _as_given(result: Tensor, signal: Tensor) -> Tensor:
    """Contiguous if the signal is: what follows may count on it."""
    return result.contiguous() if signal.is_contiguous() else result


def _parts(over: Transform, signal: Tensor, outputs: int) -> list[slice]:
    """Rows of the spectrum, some at a time and about as many every time."""
    most = max(1, PART_BYTES.get(signal.device.type, PART_BYTES["cuda"]) // _row_bytes(over, signal, outputs))
    count = -(-over.rows // most)
    bounds = [over.rows * part // count for part in range(count + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]


def _row_bytes(over: Transform, signal: Tensor, outputs: int) -> int:
    """Of the spectra of signal and output, and the matrices of the kernel."""
    batch, inputs = signal.shape[:2]
    return 2 * over.row_length * (batch * (inputs + outputs) + 2 * inputs * outputs) * signal.element_size()
