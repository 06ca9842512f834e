"""Operations and bytes of layers and models, counted piece by piece."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from restool.bench.harness.floor import Costs, Count
from restool.correlation.cost import work
from restool.modules import layers
from restool.nn import ContinuousConv

FLOAT = 4
"""A float32 has so many bytes."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)


def layer_costs(layer: ContinuousConv, batch: int, size: tuple[int, ...], *, training: bool) -> Costs:
    """A continuous layer on a batch, its kernel combined from the network's basis; the basis itself is not counted."""
    with torch.no_grad():
        kernel = layer.sample(size).shape
    signal, hidden = (batch, kernel[1], *size), layer.kernel.hidden + 1
    return _correlation(signal, kernel, causal=layer.causal, hidden=hidden, training=training)


def training_costs(model: nn.Module, images: Tensor) -> list[Costs]:
    """A training step: layers, norms and Adam.

    Layers are the continuous and ordinary convolutions and linear layers, forward and backward. A norm reads
    its input and writes its output, and in the gradient reads both and writes one; activations, dropout and additions
    are taken as part of it. Adam reads weight, gradient and both moments and writes all but the gradient.
    """

    def costs(module: nn.Module, shape: tuple[int, ...]) -> Costs | None:
        if isinstance(module, NORMS):
            return {"read and write": Count(0.0, 5 * FLOAT * float(torch.Size(shape).numel()))}
        return _module_costs(module, shape, training=True)

    parameters = sum(parameter.numel() for parameter in model.parameters())
    return [*_all_costs(model, images, costs), {"adam": Count(0.0, 7.0 * FLOAT * parameters)}]


def evaluation_costs(model: nn.Module, images: Tensor) -> list[Costs]:
    """Inference with kernels at hand: what every further image costs in convolutions and linear layers."""

    def costs(module: nn.Module, shape: tuple[int, ...]) -> Costs | None:
        once = _module_costs(module, shape, training=False)
        twice = _module_costs(module, (2 * shape[0], *shape[1:]), training=False)
        return {way: twice[way] - once[way] for way in once} if once and twice else None

    return _all_costs(model, images, costs)


def _all_costs(
    model: nn.Module, images: Tensor, costs: Callable[[nn.Module, tuple[int, ...]], Costs | None]
) -> list[Costs]:
    """Costs of every module that has one, with the shape of its input for the whole batch."""
    seen: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append((module, (len(images), *inputs[0].shape[1:])))

    kinds = (ContinuousConv, nn.Conv1d, nn.Conv2d, nn.Linear, *NORMS)
    # a kernel network has linear layers too, which work on grid points and not on images
    networks = [layer.kernel for layer in layers(model, ContinuousConv)]
    inside = {module for network in networks for module in network.modules()}
    counted = [module for module in model.modules() if isinstance(module, kinds) and module not in inside]
    hooks = [module.register_forward_pre_hook(note) for module in counted]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(images[:1])
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return [found for found in (costs(module, shape) for module, shape in seen) if found is not None]


def _module_costs(module: nn.Module, shape: tuple[int, ...], *, training: bool) -> Costs | None:
    if isinstance(module, ContinuousConv):
        return layer_costs(module, shape[0], shape[2:], training=training)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return _correlation(shape, tuple(module.weight.shape), training=training)
    if isinstance(module, nn.Linear):
        return _correlation((*shape, 1, 1), (*module.weight.shape, 1, 1), training=training)
    return None


def _correlation(
    signal: Sequence[int], kernel: Sequence[int], *, causal: bool = False, hidden: int | None = None, training: bool
) -> dict[str, Count]:
    works = work(signal, kernel, causal=causal, hidden=hidden, training=training)
    return {way: Count(counted.operations, counted.bytes) for way, counted in works.items()}
