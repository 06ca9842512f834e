"""Many continuous layers sampled by few operations on large tensors, with one read from the device.

A kernel network is some forty operations on small tensors, and the support of a mask is a number that the host has to
read. Layers that differ in nothing but the values of their parameters need each of the operations once: the parameters
are stacked, `torch.vmap` evaluates one layer for all of them on the largest grid that any of them needs, and each takes
its crop. Coordinates, sines and masks keep the dtype of the parameters under autocast.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restool.correlation import FactoredKernel
from restool.kernels.coordinates import pixel_area_ratio, points
from restool.kernels.mask import causal_cut, centered_cut, half_widths
from restool.nn.continuous_kernel import ContinuousKernel, MaskedBasis


def sample_together(layers: Sequence[ContinuousKernel], size: Sequence[int]) -> list[FactoredKernel]:
    """The kernel of every layer for inputs of one size, cropped to the support of its mask, gain included.

    Args:
        layers: on one device; of any kinds, of which those alike are evaluated in one pass.
        size: (n,), or (height, width).

    Returns:
        One kernel per layer, differentiable with respect to its parameters.

    Raises:
        ValueError: the size has another number of axes than a layer.
    """
    if not layers:
        return []
    with torch.autocast(layers[0].device.type, enabled=False):
        groups = _groups(layers, size)
        kernels: dict[ContinuousKernel, FactoredKernel] = {}
        for group, cuts in zip(groups, _read_cuts(groups), strict=True):
            for layer, basis in zip(group.layers, group.bases(size, cuts), strict=True):
                kernels[layer] = FactoredKernel(layer.coefficients(), basis)
    return [kernels[layer] for layer in layers]


@dataclass(frozen=True)
class _Group:
    """Layers that differ in the values of their parameters only.

    Attributes:
        layers: N of them.
        states: of each, what its masked basis depends on, by name.
        axes: coordinates of all taps along every axis.
    """

    layers: list[ContinuousKernel]
    states: list[dict[str, Tensor]]
    axes: list[Tensor]

    def cuts(self) -> Tensor | None:
        """Taps that the masks leave out in front of every axis, on the device: [N, D]; None without masks."""
        mask = self.layers[0].mask
        if mask is None:
            return None
        means, sigmas = (
            torch.stack([state[name].detach() for state in self.states]) for name in ("mask.mean", "mask.sigma")
        )
        widths = half_widths(sigmas, mask.threshold)
        cut = causal_cut if self.layers[0].causal else centered_cut
        return torch.stack([cut(means[:, d], widths[:, d], axis) for d, axis in enumerate(self.axes)], dim=1)

    def bases(self, size: Sequence[int], cuts: list[list[int]]) -> list[Tensor]:
        """The masked basis of every layer on its own crop: N times [H, *K]."""
        shared = [min(layers) for layers in zip(*cuts, strict=True)]
        axes = [axis[self._kept(cut, len(axis))] for axis, cut in zip(self.axes, shared, strict=True)]
        gain = pixel_area_ratio(size, self.layers[0].reference_size)
        values = self._evaluate(points(axes), gain).mT.unflatten(2, [len(axis) for axis in axes])
        bases = []
        for basis, own in zip(values.unbind(), cuts, strict=True):
            crop = [self._kept(cut - less, len(axis)) for cut, less, axis in zip(own, shared, axes, strict=True)]
            bases.append(basis[(slice(None), *crop)])
        return bases

    def _kept(self, cut: int, taps: int) -> slice:
        return slice(cut, taps if self.layers[0].causal else taps - cut)

    def _evaluate(self, grid: Tensor, gain: float) -> Tensor:
        """[P, D] -> [N, P, H]."""
        module = MaskedBasis(self.layers[0])
        if len(self.layers) == 1:
            return module(grid, gain)[None]
        stacked = {name: torch.stack([state[name] for state in self.states]) for name in self.states[0]}
        return torch.vmap(lambda state: torch.func.functional_call(module, state, (grid, gain)))(stacked)


def _groups(layers: Sequence[ContinuousKernel], size: Sequence[int]) -> list[_Group]:
    groups: dict[Hashable, _Group] = {}
    for layer in dict.fromkeys(layers):
        state = _state(layer)
        mask = None if layer.mask is None else (type(layer.mask), layer.mask.threshold)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in state.values())
        structure = type(layer), layer.reference_size, layer.kernel.structure(), mask, shapes
        if structure not in groups:
            groups[structure] = _Group([], [], layer.axes(size))
        groups[structure].layers.append(layer)
        groups[structure].states.append(state)
    return list(groups.values())


def _read_cuts(groups: Sequence[_Group]) -> list[list[list[int]]]:
    """Taps to leave out, by group, layer and axis, all read from the device at once."""
    cuts = [group.cuts() for group in groups]
    masked = [cut.flatten() for cut in cuts if cut is not None]
    values = iter(torch.cat(masked).tolist() if masked else [])
    return [
        [[0 if cut is None else next(values) for _ in group.axes] for _ in group.layers]
        for group, cut in zip(groups, cuts, strict=True)
    ]


def _state(layer: ContinuousKernel) -> dict[str, Tensor]:
    """Parameters and buffers that a layer's `MaskedBasis` depends on, by name."""
    state: dict[str, Tensor] = {}
    for name, module in (("kernel", layer.kernel), ("mask", layer.mask)):
        if module is not None:
            _collect(module, f"{name}.", state)
    # the last layer makes coefficients, as many as the layer has channel pairs
    return {name: tensor for name, tensor in state.items() if not name.startswith("kernel.output.")}


def _collect(module: nn.Module, prefix: str, state: dict[str, Tensor]) -> None:
    """Fill in parameters and buffers: what `named_parameters` and `named_buffers` do, in a fifth of the time."""
    for tensors in (module._parameters, module._buffers):
        state.update((prefix + name, tensor) for name, tensor in tensors.items() if tensor is not None)
    for name, child in module._modules.items():
        if child is not None:
            _collect(child, f"{prefix}{name}.", state)
