"""Walks over the modules of a model: find its layers of a kind, copy it, or put others in their places."""

import copy
from collections.abc import Callable, Iterator
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def named_layers(model: nn.Module, kind: type[M]) -> Iterator[tuple[str, M]]:
    """Name and layer of all layers of a kind, the model itself included.

    Every layer comes once, in the model's order, under the first of its names. Inside of a layer none is looked for.
    """
    seen: set[nn.Module] = set()

    def visit(module: nn.Module, name: str) -> Iterator[tuple[str, M]]:
        if module in seen:
            return
        seen.add(module)
        if isinstance(module, kind):
            yield name, module
            return
        for part, child in module.named_children():
            yield from visit(child, f"{name}.{part}" if name else part)

    return visit(model, "")


def layers(model: nn.Module, kind: type[M]) -> Iterator[M]:
    """The layers of `named_layers` without their names."""
    return (layer for _, layer in named_layers(model, kind))


def copied(module: M) -> M:
    """A deep copy, whose recurrent layers of PyTorch hold their weights in one piece.

    On a GPU the copied weights lie apart, and every call would warn of it and put them together.
    """
    copy_ = copy.deepcopy(module)
    for part in copy_.modules():
        if isinstance(part, nn.RNNBase):
            part.flatten_parameters()
    return copy_


def with_layers(model: nn.Module, rule: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A copy of a model with other layers.

    Args:
        model: not changed.
        rule: module of the copy -> what takes its place. Where it gives the module itself, that stays and the rule is
            asked about its children. A module in several places is asked about once.
    """
    taken: dict[nn.Module, nn.Module] = {}

    def visit(module: nn.Module) -> nn.Module:
        if module not in taken:
            taken[module] = rule(module)
            if taken[module] is module:
                for name, child in list(module._modules.items()):  # named_children skips a layer's second place
                    if child is not None:
                        setattr(module, name, visit(child))
        return taken[module]

    return visit(copied(model))
