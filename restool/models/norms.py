"""Batch-norm statistics for every image size that a model was trained at.

Activations are distributed otherwise on another grid, so statistics that are averaged over batches of several sizes
are right for none of them. A model that is trained at several sizes keeps one set for each beside its layers.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from restool.modules import layers

CHILD = "sized_norms"
"""A model keeps its sets under this name, so that they are copied, moved and stored with it."""


class SizedNorms(nn.Module):
    """Running means and variances of all batch norms of a model, one flat buffer `at_N` for every size N.

    Args:
        model: whose present statistics every set starts from.
        sizes: pixels of the image side.
    """

    def __init__(self, model: nn.Module, sizes: Iterable[int]) -> None:
        super().__init__()
        self.sizes = tuple(sorted(set(sizes)))
        for size in self.sizes:
            self.register_buffer(f"at_{size}", _flat(model))

    def keep(self, model: nn.Module, size: int) -> None:
        """Take the model's statistics as those of a size."""
        self.get_buffer(f"at_{size}").copy_(_flat(model))

    def put(self, model: nn.Module, size: int) -> None:
        """Give the model the statistics of the trained size that is nearest by ratio, the larger one of two."""
        nearest = min(self.sizes, key=lambda trained: (round(abs(math.log(trained / size)), 9), -trained))
        values = iter(self.get_buffer(f"at_{nearest}").split([len(buffer) for buffer in _buffers(model)]))
        for buffer in _buffers(model):
            buffer.copy_(next(values))


class NormsInTurn:
    """Gives a model in training the statistics of the size of every batch, if it keeps sets; else does nothing.

    Args:
        model: with the statistics of `size`.
        size: pixels of the image side.
    """

    def __init__(self, model: nn.Module, size: int) -> None:
        self.model, self.norms, self.size = model, sized_norms(model), size

    def turn_to(self, size: int) -> None:
        """Keep what was learnt at the last size and go on with the statistics of this one."""
        if self.norms is None:
            return
        self.norms.keep(self.model, self.size)
        if size != self.size:
            self.norms.put(self.model, size)
            self.size = size


def sized_norms(model: nn.Module) -> SizedNorms | None:
    """The sets that a model keeps, or None where it was trained at one size."""
    found = getattr(model, CHILD, None)
    return found if isinstance(found, SizedNorms) else None


def attach_norms(model: nn.Module, sizes: Iterable[int]) -> None:
    """Let a model with batch norms keep a set for each of several sizes; nothing happens for one."""
    distinct = set(sizes)
    if len(distinct) > 1 and any(True for _ in _buffers(model)):
        model.add_module(CHILD, SizedNorms(model, distinct).to(next(_buffers(model)).device))


def attach_norms_of(model: nn.Module, state: Iterable[str]) -> None:
    """Let a model keep the sets that a state dict has, given the names in it."""
    prefix = f"{CHILD}.at_"
    attach_norms(model, [int(name.removeprefix(prefix)) for name in state if name.startswith(prefix)])


def put_norms(model: nn.Module, size: int) -> None:
    """Give a model that keeps sets those of the trained size nearest to `size`."""
    norms = sized_norms(model)
    if norms is not None:
        norms.put(model, size)


def detach_norms(model: nn.Module) -> None:
    """Let a model forget its sets; its present statistics stay."""
    if sized_norms(model) is not None:
        delattr(model, CHILD)


def _buffers(model: nn.Module) -> Iterator[Tensor]:
    for norm in layers(model, nn.modules.batchnorm._BatchNorm):
        if norm.running_mean is not None and norm.running_var is not None:
            yield from (norm.running_mean, norm.running_var)


def _flat(model: nn.Module) -> Tensor:
    return torch.cat([buffer.detach() for buffer in _buffers(model)]).clone()
