"""Arrays of the official FlexConv code, and our modules with its weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from restool.interop import read_flexconv
from restool.kernels import SIREN, GaussianMask, KernelNetwork, MAGNet
from restool.nn import ContinuousConv

Arrays = dict[str, Tensor]


def load(shared: Path, name: str) -> Arrays:
    """Every numeric array of a reference file."""
    return numeric(shared / "golden" / f"{name}.npz")


def numeric(path: Path) -> Arrays:
    """Every numeric array of an .npz file."""
    with np.load(path) as file:
        return {key: torch.from_numpy(np.array(file[key])) for key in file.files if file[key].dtype.kind in "fi"}


def part(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays below a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def official_names(network: KernelNetwork) -> dict[str, nn.Parameter]:
    """The parameters of a kernel network under the names of the official code."""
    if isinstance(network, SIREN):
        layers = {"kernel_net.0": network.first, "kernel_net.2": network.second, "kernel_net.4": network.output}
        return {f"{name}.{part}": getattr(layer, part) for name, layer in layers.items() for part in ("weight", "bias")}
    names = {"output_linear.weight": network.output.weight, "output_linear.bias": network.output.bias}
    for index, linear in enumerate(network.linears):
        names |= {f"linear.{index}.weight": linear.weight, f"linear.{index}.bias": linear.bias}
    for index, filter_ in enumerate(network.filters):
        names |= {f"filters.{index}.linear.weight": filter_.weight, f"filters.{index}.linear.bias": filter_.bias}
        if hasattr(filter_, "center"):
            names |= {f"filters.{index}.mu": filter_.center, f"filters.{index}.gamma": filter_.inverse_width}
    return names


def fill(network: KernelNetwork, state: Arrays) -> None:
    """Copy the official weights into a network; a name or a size that does not fit raises."""
    with torch.no_grad():
        for name, parameter in official_names(network).items():
            parameter.copy_(state[name].reshape(parameter.shape))


def flexconv(
    state: Arrays, *, reference_size: int, dims: int, threshold: float = 0.1, mask_params: Tensor | None = None
) -> ContinuousConv:
    """A FlexConv layer with official weights; `mask_params` may replace the stored ones."""
    outputs, (pairs, hidden) = len(state["bias"]), state["Kernel.output_linear.weight"].shape[:2]
    layers = sum(name.startswith("Kernel.linear.") for name in state) // 2  # a weight and a bias each
    inputs = pairs // outputs
    layer = ContinuousConv(
        inputs,
        outputs,
        kernel=MAGNet(dims, pairs, hidden=hidden, layers=layers),
        mask=GaussianMask(dims, threshold=threshold),
        reference_size=reference_size,
    )
    fill(layer.kernel, part(state, "Kernel."))
    mean, sigma = (state["mask_params"] if mask_params is None else mask_params).T
    with torch.no_grad():
        layer.bias.copy_(state["bias"])
        layer.mask.mean.copy_(mean)
        layer.mask.sigma.copy_(sigma)
    return layer


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New parameters have this dtype inside the block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def read(state: Arrays, folder: Path, *, reference_size: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Our model of an official state dict, through a checkpoint file and the reader."""
    torch.save({"model": state, "epoch": 0}, folder / "official.pt")
    with default_dtype(dtype):
        return read_flexconv(folder / "official.pt", reference_size=reference_size)
