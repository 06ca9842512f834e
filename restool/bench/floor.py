"""The least time that counted work can take on a machine: the slower of its arithmetic and its memory traffic."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restool.bench.machine import Machine
from restool.nn import ContinuousConv
from restool.nn.cost import work

FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Count:
    """Floating-point operations, multiply and add counted as two, and bytes that must be read or written."""

    operations: float
    bytes: float

    def __sub__(self, other: "Count") -> "Count":
        return Count(self.operations - other.operations, self.bytes - other.bytes)


Part = Mapping[str, Count]
"""What one part of the work costs by each way of doing it."""


@dataclass(frozen=True)
class Floor:
    """The least time, and of it the seconds that arithmetic decides; memory decides the rest."""

    seconds: float
    arithmetic: float


def floor(parts: Sequence[Part], machine: Machine) -> Floor:
    """Sum over the parts of the least over the ways of max(operations / peak, bytes / bandwidth)."""
    seconds = arithmetic = 0.0
    for part in parts:
        computed, least = min((_times(count, machine) for count in part.values()), key=lambda pair: pair[1])
        seconds += least
        arithmetic += least if computed == least else 0.0
    return Floor(seconds, arithmetic)


def _times(count: Count, machine: Machine) -> tuple[float, float]:
    """Seconds of the arithmetic alone, and of the slower of it and the traffic."""
    computed = count.operations / machine.operations_per_second
    return computed, max(computed, count.bytes / machine.bytes_per_second)


def layer_part(layer: ContinuousConv, batch: int, size: tuple[int, ...], *, training: bool) -> Part:
    """A continuous layer on a batch, its kernel combined from the network's basis; the basis itself is not counted."""
    with torch.no_grad():
        kernel = layer.sample(size).shape
    return _correlation((batch, kernel[1], *size), kernel, hidden=layer.kernel.hidden + 1, training=training)


def training_parts(model: nn.Module, images: Tensor) -> list[Part]:
    """A training step: layers, batch norms and Adam.

    Layers are the continuous and ordinary convolutions and linear layers, forward and backward. A batch norm reads
    its input and writes its output, and in the gradient reads both and writes one; activations, dropout and additions
    are taken as part of it. Adam reads weight, gradient and both moments and writes all but the gradient.
    """

    def part(module: nn.Module, shape: tuple[int, ...]) -> Part | None:
        if isinstance(module, nn.BatchNorm2d):
            return {"read and write": Count(0.0, 5 * FLOAT * float(torch.Size(shape).numel()))}
        return _module_part(module, shape, training=True)

    parameters = sum(parameter.numel() for parameter in model.parameters())
    return [*_parts(model, images, part), {"adam": Count(0.0, 7.0 * FLOAT * parameters)}]


def evaluation_parts(model: nn.Module, images: Tensor) -> list[Part]:
    """Inference with kernels at hand: what every further image costs in convolutions and linear layers."""

    def part(module: nn.Module, shape: tuple[int, ...]) -> Part | None:
        once = _module_part(module, shape, training=False)
        twice = _module_part(module, (2 * shape[0], *shape[1:]), training=False)
        return {way: twice[way] - once[way] for way in once} if once and twice else None

    return _parts(model, images, part)


def _parts(model: nn.Module, images: Tensor, part: Callable[[nn.Module, tuple[int, ...]], Part | None]) -> list[Part]:
    """A part for every module that has one, with the shape of its input for the whole batch."""
    seen: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append((module, (len(images), *inputs[0].shape[1:])))

    kinds = (ContinuousConv, nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    # a kernel network has linear layers too, which work on grid points and not on images
    networks = [layer.kernel for layer in model.modules() if isinstance(layer, ContinuousConv)]
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
    return [found for found in (part(module, shape) for module, shape in seen) if found is not None]


def _module_part(module: nn.Module, shape: tuple[int, ...], *, training: bool) -> Part | None:
    if isinstance(module, ContinuousConv):
        return layer_part(module, shape[0], shape[2:], training=training)
    if isinstance(module, nn.Conv2d):
        return _correlation(shape, tuple(module.weight.shape), training=training)
    if isinstance(module, nn.Linear):
        return _correlation((*shape, 1, 1), (*module.weight.shape, 1, 1), training=training)
    return None


def _correlation(
    signal: Sequence[int], kernel: Sequence[int], *, hidden: int | None = None, training: bool
) -> dict[str, Count]:
    works = work(signal, kernel, hidden=hidden, training=training)
    return {way: Count(counted.operations, counted.bytes) for way, counted in works.items()}
