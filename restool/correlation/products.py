"""Float32 matrix products on a CPU that the default library holds back on.

MKL, PyTorch's default for float32 products, leaves half of the AVX-512 peak of AMD CPUs unused; oneDNN does not.
PyTorch hands float32 products to oneDNN only where bfloat16 arithmetic is allowed inside them, and oneDNN makes no use
of the permission on CPUs without matrix units (AMX). `exact_products` relies on that only after having checked it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

SHAPES = [(1, 512, 512, 512), (24, 64, 36, 48), (3, 96, 32, 4096), (8, 7, 130, 33)]
"""Products of these batches, rows, inner lengths and columns are tried."""
EXACT = 1e-6
"""A float32 product errs by less than this share of its largest value; one in bfloat16 arithmetic errs by 1e-3."""


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Float32 products by the faster exact library of the device, inside the block."""
    if device.type == "cpu" and onednn_is_exact():
        with _onednn():
            yield
    else:
        yield


@cache
def onednn_is_exact() -> bool:
    """Whether this is a CPU that MKL holds back on, and oneDNN's products err no more than float32 must."""
    if not hasattr(torch.backends.mkldnn, "matmul") or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    information = Path("/proc/cpuinfo")
    if not information.exists() or "AuthenticAMD" not in information.read_text("utf-8"):
        return False
    with _onednn():
        return all(_error(*shape) < EXACT for shape in SHAPES)


@contextmanager
def _onednn() -> Iterator[None]:
    settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def _error(batch: int, rows: int, inner: int, columns: int) -> float:
    """Relative to the largest value, against float64."""
    random = torch.Generator().manual_seed(0)
    left = torch.randn(batch, rows, inner, generator=random)
    right = torch.randn(batch, inner, columns, generator=random)
    exact = left.double() @ right.double()
    return float((left @ right - exact).abs().max() / exact.abs().max())
