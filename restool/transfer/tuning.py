"""Which parameters fine-tuning trains: all, or the few that adapt a model to another size (FixRes and its kin).

FixRes (Touvron et al. 2019, arXiv 1906.06423) trains the classifier and the batch norms at the target; it calls for
few steps, as activations are distributed otherwise on another grid but mean the same.
"""

from collections.abc import Iterable
from typing import Literal

from torch import nn

from restool.errors import UsageError
from restool.interop.weights import head_of, tensors_of
from restool.models import ModelSpec

Tune = Literal["all", "head", "head+bn", "bn"]

BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)
"""Normalisation layers of PyTorch; those of others are told by what they are called and hold, see `_is_norm`."""


def freeze_all_but(tune: Tune, model: nn.Module, spec: ModelSpec) -> None:
    """Let a model train these parameters alone; with "all" it stays as it came. What came frozen stays so.

    Args:
        tune: "head" is what has another shape in a model of one class more, and "bn" the weights and biases of batch
            norms, or of all normalisation layers where there is no batch norm.
        model: built by `spec`, changed in place.
        spec: of the model.

    Raises:
        UsageError: the model has no such parameters, or none that is not frozen.
    """
    if tune == "all":
        return
    parts = tune.split("+")
    chosen = [*(_head(model, spec) if "head" in parts else ()), *(_norms(model, spec) if "bn" in parts else ())]
    if not any(parameter.requires_grad for parameter in chosen):
        raise UsageError(f"`tune` cannot be {tune}, as {spec.name} freezes all of these parameters; use all")
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad and any(parameter is one for one in chosen))


def trained_parameters(model: nn.Module) -> int:
    """How many numbers a training of a model changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _head(model: nn.Module, spec: ModelSpec) -> list[nn.Parameter]:
    tensors = tensors_of(model)
    places = {tensors[name].data_ptr() for name in head_of(model, spec)}
    found = [parameter for parameter in model.parameters() if parameter.data_ptr() in places]
    if not found:
        raise UsageError(f"`tune` cannot find the head of {spec.name}: no shape in it depends on the classes; use all")
    return found


def _norms(model: nn.Module, spec: ModelSpec) -> list[nn.Parameter]:
    norms = [module for module in model.modules() if _is_norm(module)]
    found = _parameters(filter(_is_batch_norm, norms)) or _parameters(norms)
    if not found:
        raise UsageError(f"`tune` cannot be bn or head+bn, as {spec.name} has no normalisation to train; use all")
    return found


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters(recurse=False)]


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is PyTorch's, or called so and holds nothing but numbers along one axis."""
    own = list(module.parameters(recurse=False))
    along_one_axis = all(max(parameter.shape, default=1) == parameter.numel() for parameter in own)
    return isinstance(module, NORMS) or ("norm" in type(module).__name__.lower() and bool(own) and along_one_axis)


def _is_batch_norm(norm: nn.Module) -> bool:
    """Whether a normalisation layer is PyTorch's batch norm, or that of others, which has running statistics."""
    return isinstance(norm, BATCH_NORMS) or (not isinstance(norm, NORMS) and "running_mean" in norm._buffers)
