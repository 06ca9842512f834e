"""What every test may use: the shared reference material where it lies, and one tolerance table by dtype."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests are many small operations; the workers share the cores

from restool.testing import TOLERANCE  # noqa: E402 (torch reads the variable when it is imported)

__all__ = ["TOLERANCE", "shared"]

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors and real data beside the checkout; skips where a clone has none."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which is not part of the repository")
    return SHARED
