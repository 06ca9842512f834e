"""Kernels of evaluation, made once per weights and size and shared by all batches and protocols.

A kernel is filed under a hash of everything that decides it, weights included, so that it cannot be stale. It is freed
when no trained layer has those weights any more, or when the memory is needed for another size.
"""

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import nn

from restool.correlation import PreparedKernel

LIMIT = 1 << 30
"""A cache keeps so many bytes of kernels."""


@dataclass(frozen=True)
class KernelKey:
    """What decides a prepared kernel: the weights, the size of its signals, and how it is made from the weights."""

    weights: str
    size: tuple[int, ...]
    making: Hashable


class KernelCache:
    """Prepared kernels, the least recently used of other sizes dropped first.

    A kernel that does not fit beside those of its own size is kept unmixed, which takes little memory: all layers of a
    model are needed for every batch, and dropping one for the next would make each useless.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.kernels: OrderedDict[KernelKey, PreparedKernel] = OrderedDict()
        self.owners: dict[int, str] = {}

    @property
    def bytes(self) -> int:
        """Memory in use."""
        return sum(kernel.bytes for kernel in self.kernels.values())

    def adopt(self, layer: nn.Module) -> None:
        """Keep kernels of this layer's present weights as long as it lives and has them."""
        key = id(layer)
        if key not in self.owners:
            weakref.finalize(layer, self._release, key)
        self.owners[key] = weights_digest(layer)
        self._drop_orphans()

    def get(self, key: KernelKey, make: Callable[[], PreparedKernel]) -> PreparedKernel:
        """The kernel of a key, made if it is not there."""
        if key in self.kernels:
            self.kernels.move_to_end(key)
            return self.kernels[key]
        kernel = make()
        if self._make_room(kernel.mixed_bytes, key.size):
            kernel = kernel.mixed()
        if key.weights in self.owners.values():
            self.kernels[key] = kernel
        return kernel

    def _make_room(self, needed: int, size: tuple[int, ...]) -> bool:
        for key in [key for key in self.kernels if key.size != size]:
            if self.bytes + needed <= self.limit:
                break
            del self.kernels[key]
        return self.bytes + needed <= self.limit

    def _release(self, owner: int) -> None:
        self.owners.pop(owner, None)
        self._drop_orphans()

    def _drop_orphans(self) -> None:
        wanted = set(self.owners.values())
        for key in [key for key in self.kernels if key.weights not in wanted]:
            del self.kernels[key]


def weights_digest(layer: nn.Module) -> str:
    """Hash of a layer's classes, plain attributes and state: equal only for layers that compute the same."""
    state = hashlib.sha256()
    for name, module in layer.named_modules():
        plain = {k: v for k, v in vars(module).items() if isinstance(v, int | float | str | tuple) and k != "training"}
        state.update(repr((name, id(type(module)), sorted(plain.items()))).encode())
    tensors = layer.state_dict()
    for name, tensor in tensors.items():
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    state.update(torch.cat([tensor.reshape(-1).view(torch.uint8) for tensor in tensors.values()]).cpu().numpy().data)
    return state.hexdigest()
