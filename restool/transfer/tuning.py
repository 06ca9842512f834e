"""Which parameters fine-tuning trains: all, or the few that adapt a model to another size (FixRes and its kin).

FixRes (Touvron et al. 2019, arXiv 1906.06423) trains the classifier and the batch norms at the target; it calls for
few steps, as activations are distributed otherwise on another grid but mean the same.
"""

from collections.abc import Iterator
from typing import Literal

from torch import nn

from restool.errors import UsageError
from restool.interop.weights import head_of, tensors_of
from restool.models import ModelSpec
from restool.modules import layers

Tune = Literal["all", "head", "head+bn", "bn"]

BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)
"""Normalisation layers, which stand for batch norms in a model that has none."""


def freeze_all_but(tune: Tune, model: nn.Module, spec: ModelSpec) -> None:
    """Let a model train these parameters alone; with "all" it stays as it came.

    Args:
        tune: "head" is what has another shape in a model of one class more, and "bn" the weights and biases of batch
            norms, or of all normalisation layers where there is no batch norm.
        model: built by `spec`, changed in place.
        spec: of the model.

    Raises:
        UsageError: the model has no such parameters.
    """
    if tune == "all":
        return
    parts = tune.split("+")
    chosen = [*(_head(model, spec) if "head" in parts else ()), *(_norms(model, spec) if "bn" in parts else ())]
    for parameter in model.parameters():
        parameter.requires_grad_(any(parameter is one for one in chosen))


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
    found = list(_affine(model, BATCH_NORMS)) or list(_affine(model, NORMS))
    if not found:
        raise UsageError(f"`tune` cannot be bn or head+bn, as {spec.name} has no normalisation to train; use all")
    return found


def _affine(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[nn.Parameter]:
    for kind in kinds:
        for layer in layers(model, kind):
            yield from layer.parameters()
