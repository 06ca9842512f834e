"""What a record says of a cell beside its accuracy, of its outputs and of what an image costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restool import evidence
from restool.transfer.flops import flops_per_image

TOP = 5
"""Classes that an image may be among; data with no more classes has no such figure."""
ROWS = 4096
"""Images that are worked on at a time, which bounds the memory for those in float64."""


def output_figures(logits: Tensor, labels: Tensor, correct: Tensor, own: Tensor | None) -> dict[str, float]:
    """How good, how sure and how consistent the outputs of a cell are; nothing where a logit is no finite number.

    Args:
        logits: [n, C], on the CPU.
        labels: [n], classes.
        correct: [n] bool.
        own: [n, C], the logits of the source model at its source for the same images; None for those themselves.

    Returns:
        top5 (a fraction, from six classes on), nll_nats (the mean), calibration_error (a fraction), and with `own`
        agreement (the share of equal answers) and divergence_nats (the mean KL divergence of the distribution from
        that of `own`).
    """
    if not bool(torch.isfinite(logits).all()):
        return {}
    here, classes = logits.numpy(), labels.numpy()
    likelihood = _by_rows(evidence.negative_log_likelihood, here, classes)
    sure = _by_rows(evidence.confidence, here)
    found = {
        "nll_nats": float(likelihood.mean()),
        "calibration_error": evidence.calibration_error(sure, correct.numpy()),
    }
    if logits.shape[1] > TOP:
        top = _by_rows(lambda table, of: evidence.in_top(table, of, TOP), here, classes)
        found = {f"top{TOP}": float(top.mean()), **found}
    if own is not None and bool(torch.isfinite(own).all()):
        at_source = own.numpy()
        found["agreement"] = float((here.argmax(1) == at_source.argmax(1)).mean())
        found["divergence_nats"] = float(_by_rows(evidence.divergence, at_source, here).mean())
    return found


def cost_figures(model: nn.Module, image: Tensor, peak: int | None) -> dict[str, float]:
    """What an image costs: flops_per_image where they can be counted, peak_memory_bytes where it is known.

    Args:
        model: as it was tested.
        image: [1, C, *size], one of those that it was tested on.
        peak: bytes, what `peak_memory` gave.
    """
    found = {"flops_per_image": flops_per_image(model, image), "peak_memory_bytes": peak}
    return {name: value for name, value in found.items() if value is not None}


def start_peak_memory(device: torch.device) -> None:
    """From now on, `peak_memory` is that of what follows."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes that tensors took on a GPU since `start_peak_memory`; a CPU's allocator does not tell."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _by_rows(figure: Callable[..., NDArray[Any]], *tables: NDArray[Any]) -> NDArray[Any]:
    """A figure of every image, of so many at a time."""
    starts = range(0, len(tables[0]), ROWS)
    return np.concatenate([figure(*(table[at : at + ROWS] for table in tables)) for at in starts])
