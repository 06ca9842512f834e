"""The rates of a device, measured in about three seconds.

The time of every method on a few small problems is fitted by a call of its own and one rate for every kind of
operation, all non-negative (least squares of relative errors).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from restool.correlation.cost import KINDS, WAYS, Rates, Way, work
from restool.correlation.factored import FactoredKernel
from restool.correlation.geometry import Geometry
from restool.correlation.layout import as_images, batch_last
from restool.correlation.prepared import prepare_by
from restool.devices import synchronize

PROBLEMS: tuple[tuple[int, int, int, int, tuple[Way, ...]], ...] = (  # batch, channels, size, taps, methods
    (2, 4, 8, 3, WAYS),
    (16, 24, 16, 3, WAYS),  # channels of FlexNets, no multiples of what a processor handles at once
    (16, 36, 16, 17, ("basis", "dft")),
    (64, 36, 16, 7, ("direct", "dft")),
    (32, 24, 32, 5, ("direct", "basis", "dft")),
    (16, 36, 32, 9, ("direct",)),
    (16, 24, 32, 33, ("basis", "dft")),
    (4, 16, 64, 65, ("basis", "dft")),
)
HIDDEN = 33
"""Every problem's kernel combines as many functions."""
REPETITIONS = 5
LONGEST = 0.1
"""A problem is repeated less often where one run takes more seconds than this."""
STEADY = 1.5
"""A measurement is kept if the slowest run of at least half of the problems took no more times the fastest."""


def measure(device: torch.device, dtype: torch.dtype) -> dict[bool, Rates] | None:
    """Time every method on `PROBLEMS` and fit the rates; draws no global random numbers.

    Returns:
        Rates with (True) and without gradients; None where other work disturbed the measurement.
    """
    with torch.inference_mode(False):  # gradients are timed too, wherever the call comes from
        observed = {training: _observe(device, dtype, training) for training in (True, False)}
    spreads = sorted(seen.spread for mode in observed.values() for seen in mode)
    if spreads[len(spreads) // 2] > STEADY:
        return None
    return {training: _fit(mode) for training, mode in observed.items()}


@dataclass(frozen=True)
class Observed:
    """A method on a problem: operations by kind, seconds of the fastest run, and the slowest over the fastest."""

    way: Way
    kinds: Mapping[str, float]
    seconds: float
    spread: float = 1.0


def _observe(device: torch.device, dtype: torch.dtype, training: bool) -> list[Observed]:
    """Every method on every problem."""
    random = torch.Generator().manual_seed(0)
    stored = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    observed = []
    for batch, channels, size, taps, ways in PROBLEMS:
        shapes = [(batch, channels, size, size), (channels, channels, HIDDEN), (HIDDEN, taps, taps)]
        signal, *kernel = (torch.randn(shape, generator=random, dtype=stored).to(device) for shape in shapes)
        works = work(shapes[0], (channels, channels, taps, taps), hidden=HIDDEN, training=training)
        for way in ways:
            run = partial(_run, way, [_laid_out(signal, way), *kernel], dtype, training)
            times = _times(run, device)
            observed.append(Observed(way, works[way].kinds, min(times), max(times) / min(times)))
    return observed


def _laid_out(signal: Tensor, way: Way) -> Tensor:
    """A signal as it lies between layers of a method."""
    if way == "dft":
        return as_images(batch_last(signal))
    return signal.contiguous(memory_format=torch.channels_last)


def _run(way: Way, tensors: list[Tensor], dtype: torch.dtype, training: bool) -> None:
    signal, coefficients, basis = leaves = [tensor.detach().requires_grad_(training) for tensor in tensors]
    geometry = Geometry(tuple(signal.shape[2:]), tuple(basis.shape[1:]), causal=False)
    with torch.set_grad_enabled(training), torch.autocast(signal.device.type, dtype, dtype != signal.dtype):
        output = prepare_by(way, FactoredKernel(coefficients, basis), geometry).correlate(signal)
    if training:
        torch.autograd.grad(output, leaves, torch.ones_like(output))


def _times(run: Callable[[], None], device: torch.device) -> list[float]:
    """Seconds of a few runs after one that warms up."""
    run()
    times: list[float] = []
    while len(times) < REPETITIONS and sum(times) < LONGEST * REPETITIONS:
        synchronize(device)
        started = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return times


def _fit(observed: Sequence[Observed]) -> Rates:
    """Least squares of relative errors; a rate is at least a tenth of the lowest that any problem shows by itself."""
    from scipy.optimize import lsq_linear  # only here: its import costs more than a cached file

    rows, least = [], {kind: float("inf") for kind in KINDS}
    for seen in observed:
        counts = [float(seen.way == way) for way in WAYS] + [seen.kinds[kind] for kind in KINDS]
        rows.append(np.array(counts) / seen.seconds)
        for kind, count in seen.kinds.items():
            least[kind] = min(least[kind], 0.1 * seen.seconds / count) if count else least[kind]
    lower = [0.0] * len(WAYS) + list(least.values())
    scale = 1 / np.max(rows, axis=0)  # columns of one size
    fitted = lsq_linear(np.array(rows) * scale, np.ones(len(rows)), bounds=(lower / scale, np.inf)).x * scale
    values = [float(value) for value in fitted]
    return Rates(dict(zip(WAYS, values, strict=False)), dict(zip(KINDS, values[len(WAYS) :], strict=True)))
