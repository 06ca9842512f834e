"""Kernels of a trained model on one fine grid, and their energy by frequency: what `restool.report.portraits` draws."""

import numpy as np
import torch
from torch import Tensor, nn

from restool.aliasing import frequency_bounds
from restool.correlation import FactoredKernel
from restool.modules import named_layers
from restool.nn import ContinuousConv
from restool.report.portrait import Portrait

PICTURES = 3
FINER = 2
"""Kernels are sampled so many times as finely as the target would; energy beyond its Nyquist frequency is folded."""
PADDED = 4
"""The Fourier transform is over so many times the grid, so that bands are told apart more finely than by one tap."""
POINTS = 129


@torch.no_grad()
def portraits(model: nn.Module, source: int, target: int) -> list[Portrait]:
    """A portrait of every continuous layer, in the model's order; of a model without any, none.

    Args:
        model: trained at `source`.
        source: pixels of the image side (or steps) in training.
        target: the same, of the images or sequences to come.
    """
    bounds = frequency_bounds(model)
    fine = FINER * max(source, target)
    layers = named_layers(model, ContinuousConv)
    return [_portrait(name, layer, source, fine, bounds.get(name)) for name, layer in layers]


def _portrait(name: str, layer: ContinuousConv, source: int, fine: int, bound: float | None) -> Portrait:
    dims = layer.kernel.dims
    taps = tuple(layer.factored([source] * dims).basis.shape[1:])
    whole = layer.uncropped().factored([fine] * dims)
    frequencies, above = energy_above(layer.factored([fine] * dims), fine)
    pictures = _pictures(whole)
    return Portrait(
        layer=name,
        pictures=pictures * fine / source if layer.causal else pictures,
        covered=tuple(2 * n / source for n in taps),
        taps=taps,
        frequencies=frequencies,
        above=above,
        bound=bound,
    )


def _pictures(kernel: FactoredKernel) -> np.ndarray:
    """The channel pairs of most energy, dense: [P, *K]."""
    pairs, basis = kernel.coefficients.flatten(0, 1), kernel.basis.flatten(1)
    energy = ((pairs @ (basis @ basis.T)) * pairs).sum(1)
    most = energy.topk(min(PICTURES, len(energy))).indices
    return (pairs[most] @ basis).unflatten(1, kernel.basis.shape[1:]).cpu().numpy()


def energy_above(kernel: FactoredKernel, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and the share of a kernel's energy above each along some axis: [F], [F].

    With C = sum over channel pairs of c c^T = S^T S and B the transforms of the basis, energy at f is |S B(f)|^2.

    Args:
        kernel: on the grid of `pixels` (or steps) over two units.
        pixels: of that grid.
    """
    pairs = kernel.coefficients.flatten(0, 1).double()
    values, vectors = torch.linalg.eigh(pairs.T @ pairs)
    mixed = torch.einsum("h,gh,g...->h...", values.clamp(min=0).sqrt(), vectors, kernel.basis.double())
    points = PADDED * pixels
    axes = list(range(1, mixed.dim()))
    energy = torch.fft.fftn(mixed, s=[points] * len(axes), dim=axes).abs().square().sum(0)
    along = torch.fft.fftfreq(points, d=2 / pixels, dtype=torch.float64).abs()
    radius = torch.stack(torch.meshgrid([along] * len(axes), indexing="ij")).amax(0)
    frequencies = np.linspace(0, pixels / 4, POINTS)
    return frequencies, _share_above(energy.cpu(), radius, frequencies)


def _share_above(energy: Tensor, radius: Tensor, frequencies: np.ndarray) -> np.ndarray:
    order = radius.flatten().argsort()
    below = np.concatenate([[0.0], energy.flatten()[order].cumsum(0).numpy()])
    places = np.searchsorted(radius.flatten()[order].numpy(), frequencies, side="right")
    return 1 - below[places] / below[-1]
