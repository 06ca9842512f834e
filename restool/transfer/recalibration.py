"""Batch-norm statistics estimated anew, for the activations that a model has at a target."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from restool.modules import layers


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace running statistics of batch norms by the averages over batches of images; weights stay as they are."""
    norms = list(layers(model, nn.modules.batchnorm._BatchNorm))
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over all batches
        norm.train()
    seen = 0
    for images in batches:
        model(images)
        seen += 1
    if not seen:
        raise ValueError("calibration must hold at least one batch of images")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
