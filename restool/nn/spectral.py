"""Correlation as one product per frequency, for kernels of taps and for combinations of few functions.

    Y[f] = conj(K)[f] X[f],   conj(K)[f, o, i] = sum_h basis[f, h] coefficients[h, o, i]

A part of the rows of the spectrum is analysed, mixed and synthesised at a time, small enough to stay in the cache of a
CPU. The parts of small spectra are kept for the gradient. Of large ones nothing is kept, and the gradient computes them
again: a training step then holds no spectrum of a signal and never makes that of a whole factored kernel.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from restool.nn.kernel_spectrum import KernelSpectrum, mix
from restool.nn.products import exact_products
from restool.nn.transforms import Transform, transform

PART_BYTES = {"cpu": 16 << 20, "cuda": 64 << 20}
"""Size of a part: half of the last cache of a CPU; enough on a GPU to fill it with one batch of products."""
KEPT_BYTES = 32 << 20
"""Largest size of all parts together that are kept for the gradient."""


def correlate_spectrum(signal: Tensor, kernel: KernelSpectrum, bias: Tensor | None) -> Tensor:
    """Correlate [B, I, *size] with a kernel whose spectrum is known: [B, O, *size], in the signal's dtype.

    Of a contiguous signal the result is contiguous. Of others it lies as the method leaves it, for `dft` batch last.
    """
    image = signal.reshape(*signal.shape[:2], *kernel.size)
    over = transform(kernel.kind, kernel.size, kernel.period, signal.dtype, signal.device)
    with torch.autocast(signal.device.type, enabled=False), exact_products(signal.device):
        result: Tensor = _Correlation.apply(image, kernel.values, kernel.coefficients, bias, over)
    return result.view(*result.shape[:2], *signal.shape[2:])


class _Correlation(torch.autograd.Function):
    """(signal [B, I, n_y, n_x], values, coefficients or None, bias or None, transform) -> [B, O, n_y, n_x]."""

    @staticmethod
    def forward(
        ctx: Any, signal: Tensor, values: Tensor, coefficients: Tensor | None, bias: Tensor | None, over: Transform
    ) -> Tensor:
        outputs = _outputs(values, coefficients)
        ctx.over, ctx.bias_dtype = over, None if bias is None else bias.dtype
        opened, gathered = over.open(signal), over.blank(len(signal), outputs)
        keep, kept = over.rows * _row_bytes(over, signal, outputs) <= KEPT_BYTES, []
        for rows in _parts(over, signal, outputs):
            spectrum = over.read(opened, rows)
            matrices = _matrices(values, coefficients, rows, over, signal.dtype)
            kept += [spectrum] if keep and any(ctx.needs_input_grad) else []
            over.write(gathered, rows, torch.bmm(matrices, spectrum))
        result = over.close(gathered)
        if bias is not None:
            result += bias[:, None, None]
        ctx.save_for_backward(signal, values, coefficients, *kept)
        return _as_given(result, signal)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        with exact_products(upstream.device):
            return _gradients(ctx, upstream)


def _gradients(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of `_Correlation` for every input that asks for one."""
    signal, values, coefficients, *kept = ctx.saved_tensors
    over: Transform = ctx.over
    of_signal, of_kernel = ctx.needs_input_grad[0], ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
    outputs = upstream.shape[1]
    opened = None if kept or not of_kernel else over.open(signal)
    opened_upstream = over.open(upstream)
    gathered = over.blank(*signal.shape[:2]) if of_signal else None
    adjoint = _adjoint(values, coefficients) if of_signal else None
    gradient = _KernelGradient(values, coefficients, over) if of_kernel else None
    for index, rows in enumerate(_parts(over, signal, outputs)):
        read = over.read(opened_upstream, rows)
        if gathered is not None and adjoint is not None:
            over.write(gathered, rows, torch.bmm(_matrices(*adjoint, rows, over, signal.dtype), read))
        if gradient is not None:
            spectrum = kept[index] if opened is None else over.read(opened, rows)
            gradient.add(rows, torch.bmm(read, spectrum.mT))
    return (
        None if gathered is None else _as_given(over.close(gathered), signal),
        None if gradient is None else gradient.values,
        None if gradient is None else gradient.coefficients,
        None if ctx.bias_dtype is None else upstream.sum((0, 2, 3), dtype=ctx.bias_dtype),
        None,
    )


class _KernelGradient:
    """Gathers the gradient of a kernel's spectrum part by part."""

    def __init__(self, values: Tensor, coefficients: Tensor | None, over: Transform) -> None:
        self.values, self.over = torch.empty_like(values), over
        self.given = values, coefficients
        self.coefficients = None if coefficients is None else torch.zeros_like(coefficients)

    def add(self, rows: slice, product: Tensor) -> None:
        """Take in G X^T of some rows, [f P_x, 2 O, 2 I]."""
        values, coefficients = self.given
        inside = _inside(rows, self.over)
        weights = self.over.weights[rows].to(values.dtype).repeat_interleave(self.over.row_length)[:, None, None]
        product = product.to(values.dtype)
        if coefficients is None or self.coefficients is None:
            torch.mul(product, weights, out=self.values[inside])
            return
        planes = _adjoint_of_matrices(product).flatten(2)  # [f P_x, 2, O I]
        self.values[inside] = (planes @ coefficients.flatten(1).T) * weights
        weighted = values[inside] * weights
        self.coefficients.flatten(1).addmm_(weighted.flatten(0, 1).T, planes.flatten(0, 1))


def _adjoint(values: Tensor, coefficients: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Of the kernel: from outputs to inputs. That of planes is the conjugate, mixed in the order that products read."""
    if coefficients is None:
        return values.mT, None
    real, imaginary = values.unbind(1)
    return torch.stack([real, -imaginary], dim=1), coefficients.mT.contiguous()


def _adjoint_of_matrices(matrices: Tensor) -> Tensor:
    """What `as_matrices` does to gradients: [f, 2 O, 2 I] -> [f, 2, O, I]."""
    frequencies, outputs, inputs = len(matrices), matrices.shape[1] // 2, matrices.shape[2] // 2
    blocks = matrices.view(frequencies, 2, outputs, 2, inputs)
    planes = matrices.new_empty(frequencies, 2, outputs, inputs)
    torch.add(blocks[:, 0, :, 0], blocks[:, 1, :, 1], out=planes[:, 0])
    torch.sub(blocks[:, 1, :, 0], blocks[:, 0, :, 1], out=planes[:, 1])
    return planes


def _as_given(result: Tensor, signal: Tensor) -> Tensor:
    """Contiguous if the signal is: what follows may count on it."""
    return result.contiguous() if signal.is_contiguous() else result


def _outputs(values: Tensor, coefficients: Tensor | None) -> int:
    return values.shape[1] // 2 if coefficients is None else coefficients.shape[1]


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


def _inside(rows: slice, over: Transform) -> slice:
    return slice(rows.start * over.row_length, rows.stop * over.row_length)


def _matrices(values: Tensor, coefficients: Tensor | None, rows: slice, over: Transform, dtype: torch.dtype) -> Tensor:
    """Kernel spectrum of some rows as real matrices: [f P_x, 2 O, 2 I]."""
    part = values[_inside(rows, over)]
    return (part if coefficients is None else mix(part, coefficients)).to(dtype)
