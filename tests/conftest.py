"""What every test may use: the shared reference material where it lies, and one tolerance table by dtype."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Largest allowed error over the largest value, by dtype."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors and real data beside the checkout; skips where a clone has none."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which is not part of the repository")
    return SHARED
