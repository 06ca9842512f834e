"""Batch-norm statistics for every image size that a model was trained at.

Activations are distributed otherwise on another grid, so statistics that are averaged over batches of several sizes
are right for none of them. A model that is trained at several sizes of its own keeps one set for each: the running
means and variances of all its batch norms in one flat buffer, NaN until the size was met. Buffers are copied, moved and
stored with the model.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from restool.modules import layers

PREFIX = "batch_norms_at_"
"""A model keeps its set for N pixels in the buffer of this name and N."""


def kept_sizes(names: Iterable[str]) -> tuple[int, ...]:
    """Sizes that a model keeps sets for, given the names of its buffers or of its state."""
    return tuple(sorted(int(name.removeprefix(PREFIX)) for name in names if name.startswith(PREFIX)))


def keep_sets(model: nn.Module, sizes: Iterable[int]) -> None:
    """Let a model with batch norms keep sets for several sizes and no others; for one size it keeps none.

    Sets that it has for these sizes stay.
    """
    kept, wanted = kept_sizes(model._buffers), set(sizes)
    if len(wanted) < 2 or not any(True for _ in _running(model)):
        wanted = set()
    for size in set(kept) - wanted:
        delattr(model, f"{PREFIX}{size}")
    for size in sorted(wanted - set(kept)):
        model.register_buffer(f"{PREFIX}{size}", torch.full_like(_flat(model), math.nan))


def put_nearest(model: nn.Module, size: int) -> None:
    """Give a model that keeps sets that of the size nearest by ratio which it has met, the larger one of two."""
    met = [kept for kept in kept_sizes(model._buffers) if not _set(model, kept).isnan().any()]
    if met:
        nearest = min(met, key=lambda kept: (round(abs(math.log(kept / size)), 9), -kept))
        _put(model, _set(model, nearest))


class NormsInTurn:
    """Gives a model in training the statistics of the size of every batch.

    Args:
        model: that keeps sets for the sizes of the batches, see `keep_sets`; one that keeps none stays as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.sets = {size: _set(model, size) for size in kept_sizes(model._buffers)}
        self.size: int | None = None

    def turn_to(self, size: int) -> None:
        """Keep what was learnt at the last size and go on with the set of this one; a first time with the last's."""
        if size != self.size:
            self._keep()
            self._put(size)
            self.size = size

    def end_at(self, size: int) -> None:
        """Keep what was learnt at the last size and leave the model with the set of this one."""
        self._keep()
        self._put(size)

    def _keep(self) -> None:
        if self.size in self.sets:
            self.sets[self.size].copy_(_flat(self.model))

    def _put(self, size: int) -> None:
        if size in self.sets and not self.sets[size].isnan().any():
            _put(self.model, self.sets[size])


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Batch norms of a model in training use their running statistics meanwhile, and leave them as they are."""
    with _evaluating(layers(model, nn.modules.batchnorm._BatchNorm)):
        yield


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """What a model in training keeps beside its parameters, as running statistics, stays as it is meanwhile."""
    with _evaluating(module for module in model.modules() if module._buffers):
        yield


@contextmanager
def _evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """These modules, but not those inside of them, are in evaluation mode meanwhile."""
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _set(model: nn.Module, size: int) -> Tensor:
    return model.get_buffer(f"{PREFIX}{size}")


def _put(model: nn.Module, flat: Tensor) -> None:
    values = flat.split([len(buffer) for buffer in _running(model)])
    for buffer, value in zip(_running(model), values, strict=True):
        buffer.copy_(value)


def _running(model: nn.Module) -> Iterator[Tensor]:
    for norm in layers(model, nn.modules.batchnorm._BatchNorm):
        if norm.running_mean is not None and norm.running_var is not None:
            yield from (norm.running_mean, norm.running_var)


def _flat(model: nn.Module) -> Tensor:
    return torch.cat([buffer.detach() for buffer in _running(model)])
