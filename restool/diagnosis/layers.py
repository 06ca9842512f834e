"""Figures of every layer: its kernel on both grids, its response to the same images, and its batch norms."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from restool.aliasing import energies, frequency_bounds
from restool.correlation import FactoredKernel
from restool.kernels.coordinates import nyquist_frequency
from restool.modules import named_layers
from restool.nn import ContinuousConv, Rescalable

NORM = nn.modules.batchnorm._BatchNorm
LOGITS = "logits"
"""What the row of a model is called that has no layer to compare."""


@dataclass(frozen=True, kw_only=True)
class LayerFigures:
    """A layer that convolves or recurs, from the source's grid to the target's; what does not apply is None.

    Attributes:
        layer: its name.
        source_taps, target_taps: along the longest axis.
        above_nyquist: part of its kernel's energy above the source's Nyquist frequency.
        bound: the highest frequency that the kernel network can reach, over the source's Nyquist frequency.
        sum_change: relative change of the kernels' sums over taps, times pixel area or length of a step, over all
            channel pairs.
        sum_change_by_crop: of that the part that the taps left out make.
        response: |R_t - R_s| / |R_s| of its responses to the same images or sequences, both averaged over the coarser
            of both grids.
        growth: `response` minus that of the layer before it (for the first, itself).
    """

    layer: str
    source_taps: int | None = None
    target_taps: int | None = None
    above_nyquist: float | None = None
    bound: float | None = None
    sum_change: float | None = None
    sum_change_by_crop: float | None = None
    response: float | None = None
    growth: float | None = None


@dataclass(frozen=True, kw_only=True)
class NormFigures:
    """A batch norm: what comes in at the target, in terms of the statistics that it keeps.

    Attributes:
        layer: its name.
        shift: mean over channels of |mean - kept mean| / kept deviation.
        spread: geometric mean over channels of deviation / kept deviation.
    """

    layer: str
    shift: float
    spread: float


def compare_layers(
    at_source: nn.Module, at_target: nn.Module, trained: nn.Module, images: Tensor, larger: Tensor
) -> tuple[list[LayerFigures], list[NormFigures]]:
    """Figures of the layers that convolve over space or time or recur, and of the batch norms, of a model.

    Layers that the model does not call are left out. A model that calls none has one row, `LOGITS`, for all of it.

    Args:
        at_source: the model for the source, in evaluation mode.
        at_target: the same for the target, with layers of the same names.
        trained: the model as it was trained, which holds the continuous layers.
        images: [B, C, s, s] or [B, C, s], at the source.
        larger: [B, C, t, t] or [B, C, t], the same at the target.
    """
    names = _compared(trained)
    kernels = _kernel_figures(trained, images.shape[-1], larger.shape[-1])
    norms = [name for name, _ in named_layers(trained, NORM)]
    with _outputs(at_source, names) as here, _inputs(at_target, norms) as entering:
        logits = at_source(images)
        with _outputs(at_target, names) as there:
            moved = at_target(larger)
    found, before = [], 0.0
    for name in names:
        if name not in here or name not in there:
            continue  # the model does not call it
        figures, response = kernels.get(name, {}), _response(there[name], here[name])
        if response is not None:
            figures |= {"response": response, "growth": response - before}
            before = response
        found.append(LayerFigures(layer=name, **figures))
    if not found:
        found.append(LayerFigures(layer=LOGITS, response=_response(moved, logits)))
    kept = dict(named_layers(at_target, NORM))
    return found, [_norm_figures(name, kept[name], entering[name]) for name in norms if name in entering]


def _compared(model: nn.Module) -> list[str]:
    """Names of the layers whose output depends on the grid; inside of one none is looked for."""
    found: list[str] = []
    for name, layer in model.named_modules():
        ordinary = isinstance(layer, nn.Conv1d | nn.Conv2d) and max(layer.kernel_size) > 1
        depends = ordinary or isinstance(layer, ContinuousConv | Rescalable | nn.RNNBase)
        if depends and not any(name.startswith(f"{outer}.") for outer in found):
            found.append(name)
    return found


def _kernel_figures(model: nn.Module, source: int, target: int) -> dict[str, dict[str, Any]]:
    """What can be told of continuous layers from their kernels alone, by name."""
    layers = dict(named_layers(model, ContinuousConv))
    if not layers:
        return {}
    energy = {each.layer: float(each.ratio) for each in energies(model, source)}
    bounds = frequency_bounds(model)
    found: dict[str, dict[str, Any]] = {}
    for name, layer in layers.items():
        sizes = [[size] * layer.kernel.dims for size in (source, target)]
        pair = [layer.factored(size) for size in sizes]
        whole = [layer.uncropped().factored(size) for size in sizes]
        sums, sums_whole = [_sums(kernel) for kernel in pair], [_sums(kernel) for kernel in whole]
        by_crop = (sums[1] - sums_whole[1]) - (sums[0] - sums_whole[0])
        found[name] = {
            "source_taps": max(pair[0].basis.shape[1:]),
            "target_taps": max(pair[1].basis.shape[1:]),
            "above_nyquist": energy[name],
            "bound": bounds[name] / nyquist_frequency(source) if name in bounds else None,
            "sum_change": float((sums[1] - sums[0]).norm() / sums[0].norm()),
            "sum_change_by_crop": float(by_crop.norm() / sums[0].norm()),
        }
    return found


def _sums(kernel: FactoredKernel) -> Tensor:
    """Over the taps, of every channel pair: [O, I]."""
    return kernel.coefficients @ kernel.basis.flatten(1).sum(1)


def _response(there: Tensor, here: Tensor) -> float | None:
    """How far a response is from that at the source, relative to that; None where that is no number."""
    found, expected = _averaged(there, here.shape), _averaged(here, there.shape)
    response = float((found - expected).norm() / expected.norm().clamp(min=torch.finfo(expected.dtype).tiny))
    return response if math.isfinite(response) else None


def _averaged(response: Tensor, shape: torch.Size) -> Tensor:
    """Means over as many parts of every axis as another response has places there, where those are fewer."""
    for axis, places in enumerate(shape):
        if places < response.shape[axis]:
            rows = response.movedim(axis, -1)
            means = F.adaptive_avg_pool1d(rows.flatten(0, -2), places)
            response = means.unflatten(0, rows.shape[:-1]).movedim(-1, axis)
    return response


def _norm_figures(name: str, norm: nn.Module, entering: Tensor) -> NormFigures:
    assert isinstance(norm, NORM)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    axes = [axis for axis in range(entering.dim()) if axis != 1]
    deviation = (norm.running_var + norm.eps).sqrt()
    shift = ((entering.mean(axes) - norm.running_mean).abs() / deviation).mean()
    spread = ((entering.var(axes) + norm.eps).sqrt() / deviation).log().mean().exp()
    return NormFigures(layer=name, shift=float(shift), spread=float(spread))


@contextmanager
def _outputs(model: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """What layers give while the model runs, by name."""
    found: dict[str, Tensor] = {}

    def watch(name: str) -> RemovableHandle:
        return model.get_submodule(name).register_forward_hook(
            lambda _, __, given: found.update({name: _tensor(given)})
        )

    with _removed(watch(name) for name in names):
        yield found


def _tensor(given: Any) -> Tensor:
    """What a layer gives: of several things the first, of a list of states all."""
    if isinstance(given, list):
        return torch.stack(given)
    return given[0] if isinstance(given, tuple) else given


@contextmanager
def _inputs(model: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """What layers get while the model runs, by name."""
    found: dict[str, Tensor] = {}

    def watch(name: str) -> RemovableHandle:
        return model.get_submodule(name).register_forward_pre_hook(lambda _, got: found.update({name: got[0]}))

    with _removed(watch(name) for name in names):
        yield found


@contextmanager
def _removed(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Hooks that are gone behind the block."""
    placed = list(handles)
    try:
        yield
    finally:
        for handle in placed:
            handle.remove()
