"""What every test may use: the shared reference material where it lies, and one tolerance table by dtype."""

from pathlib import Path

import pytest

from restool.testing import TOLERANCE

__all__ = ["TOLERANCE", "shared"]

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors and real data beside the checkout; skips where a clone has none."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which is not part of the repository")
    return SHARED
