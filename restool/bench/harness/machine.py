"""The machine a benchmark runs on: its name, and the two rates that no code on it can pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from restool.bench.harness.timing import Stopwatch
from restool.correlation.products import exact_products
from restool.devices import synchronize

SIDE = 2048
"""The square matrices whose product gives the peak have so many rows."""
COPIED = 2**28
"""The copied buffer has so many bytes, more than any cache holds."""
RUNS = 7


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Measured ceilings.

    Attributes:
        operations_per_second: floating-point operations of a float32 matrix product, multiply and add counted as two.
        bytes_per_second: of a copy, bytes read plus bytes written.
    """

    operations_per_second: float
    bytes_per_second: float


def measure_machine(device: torch.device) -> Machine:
    """Best of a few runs of a large float32 matrix product and of a large copy."""
    random = torch.Generator().manual_seed(0)
    left, right = (torch.randn(SIDE, SIDE, generator=random).to(device) for _ in range(2))
    product = torch.empty_like(left)
    source = torch.randint(0, 256, (COPIED,), dtype=torch.uint8, generator=random).to(device)
    target = torch.empty_like(source)
    stopwatch = stopwatch_for(device)
    with exact_products(device):  # the default library may be far from the machine's peak
        multiplied = min(stopwatch(lambda: torch.mm(left, right, out=product)) for _ in range(RUNS))
    copied = min(stopwatch(lambda: target.copy_(source)) for _ in range(RUNS))
    return Machine(operations_per_second=2 * SIDE**3 / multiplied, bytes_per_second=2 * COPIED / copied)


def stopwatch_for(device: torch.device) -> Stopwatch:
    """A stopwatch that waits for the device's work."""
    return Stopwatch(synchronize=lambda: synchronize(device))


@contextmanager
def computing(threads: int | None) -> Iterator[None]:
    """Compute with a number of threads (None: torch's own choice) and in full float32, no TF32; restored at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)
