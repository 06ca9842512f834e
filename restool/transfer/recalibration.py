"""Batch-norm statistics estimated anew, for the activations that a model has at a target."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from restool.modules import layers


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace running statistics of batch norms by averages over batches of images; weights stay as they are.

    Mean and unbiased variance of a batch count by its images, so that a short batch counts for less.
    """
    norms = list(layers(model, nn.modules.batchnorm._BatchNorm))
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    for images in batches:
        seen += len(images)
        for norm in norms:
            norm.momentum = len(images) / seen
        model(images)
    if not seen:
        raise ValueError("calibration must hold at least one batch of images")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
