"""What every test may use: the shared reference material where it lies, and one tolerance table by dtype."""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests are many small operations; the workers share the cores

import torch  # noqa: E402 (reads the variable when it is imported)

from restool.correlation import rates  # noqa: E402
from restool.testing import TOLERANCE  # noqa: E402

# no test depends on how fast this machine is: methods are chosen by the reference rates, in child processes too
os.environ["RESTOOL_CACHE"] = tempfile.mkdtemp(prefix="restool-tests-")
for dtype in (torch.float32, torch.float64, torch.bfloat16):
    rates.write(rates.rates_file(torch.device("cpu"), dtype), rates.REFERENCE)

__all__ = ["TOLERANCE", "shared"]

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors and real data beside the checkout; skips where a clone has none."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which is not part of the repository")
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line of the report for all tests that were skipped for one reason."""
    skipped = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    for reason, count in skipped.items():
        terminalreporter.write_line(f"{count} skipped: {reason}")
