"""Rates of a device: measured once in about three seconds, kept in a file that names the device.

The time of every method on a few small problems is fitted by a call of its own and one rate for every kind of
operation, all non-negative (least squares of relative errors). `RESTOOL_CACHE` names the folder of the files;
otherwise it is `restool` in the user's cache folder. Where that cannot be written, each process measures for itself.
Where other work disturbs the measurement, nothing is kept and the process uses the reference rates.
"""

import json
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restool.files import write_atomically
from restool.nn.cost import KINDS, WAYS, Rates, Way, work
from restool.nn.factored import FactoredKernel
from restool.nn.layout import as_images, batch_last

Correlation = Callable[..., Tensor]
"""`correlate`, handed in because it asks here for its rates."""

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
REVISION = 2
"""Of the methods: rates of another one are not read."""
REPETITIONS = 5
LONGEST = 0.1
"""Seconds of one run above which a problem is not repeated as often."""
STEADY = 1.5
"""Largest slowest run over fastest run, for half of the problems, of a measurement that is kept."""

REFERENCE = {
    True: Rates(
        call={"direct": 2.3e-4, "fft": 8e-4, "basis": 8e-4, "dft": 7e-4},
        operation={"convolution": 6e-12, "dft": 1.2e-11, "fft": 2e-10, "mix": 8.5e-12},
    ),
    False: Rates(
        call={"direct": 6e-5, "fft": 2.4e-4, "basis": 2.3e-4, "dft": 2e-4},
        operation={"convolution": 6e-12, "dft": 1e-11, "fft": 1.7e-10, "mix": 9e-12},
    ),
}
"""Rates with (True) and without gradients of one core of an AMD EPYC with AVX-512, in float32.

They take the place of measured ones under `torch.use_deterministic_algorithms(True)`, where the method must not depend
on a measurement.
"""

_known: dict[str, dict[bool, Rates]] = {}


def rates(device: torch.device, dtype: torch.dtype, correlation: Correlation) -> dict[bool, Rates]:
    """Rates of a device for a dtype, with (True) and without gradients: known, read, or measured and written."""
    if torch.are_deterministic_algorithms_enabled():
        return REFERENCE
    key = _key(device, dtype)
    if key not in _known:
        path = rates_file(device, dtype)
        found = _read(path)
        if found is None:
            measured = measure(device, dtype, correlation)
            found = _read(path)  # what another process wrote in the meantime serves all
            if found is None and measured is not None:
                write(path, measured)
            found = found or measured or REFERENCE
        _known[key] = found
    return _known[key]


def rates_file(device: torch.device, dtype: torch.dtype) -> Path:
    """Where the rates of a device are kept."""
    base = os.environ.get("RESTOOL_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "restool")
    name = re.sub(r"[^A-Za-z0-9.]+", "-", _key(device, dtype)).strip("-")
    return Path(base).expanduser() / f"rates-{name}.json"


def measure(device: torch.device, dtype: torch.dtype, correlation: Correlation) -> dict[bool, Rates] | None:
    """Time every method on `PROBLEMS` and fit the rates; draws no global random numbers.

    Returns:
        Rates with (True) and without gradients; None where other work disturbed the measurement.
    """
    with torch.inference_mode(False):  # gradients are timed too, wherever the first call comes from
        observed = {training: _observe(device, dtype, correlation, training) for training in (True, False)}
    spreads = sorted(seen.spread for mode in observed.values() for seen in mode)
    if spreads[len(spreads) // 2] > STEADY:
        return None
    return {training: _fit(mode) for training, mode in observed.items()}


def write(path: Path, found: dict[bool, Rates]) -> None:
    """Keep rates for other processes; a folder that cannot be written is no error."""
    modes = {"training": found[True], "forward": found[False]}
    text = json.dumps({mode: {"call": r.call, "operation": r.operation} for mode, r in modes.items()}, indent=1)
    try:
        write_atomically(path, text.encode())
    except OSError:
        return


@dataclass(frozen=True)
class Observed:
    """A method on a problem: operations by kind, seconds of the fastest run, and the slowest over the fastest."""

    way: Way
    kinds: Mapping[str, float]
    seconds: float
    spread: float = 1.0


def _observe(device: torch.device, dtype: torch.dtype, correlation: Correlation, training: bool) -> list[Observed]:
    """Every method on every problem."""
    random = torch.Generator().manual_seed(0)
    stored = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    observed = []
    for batch, channels, size, taps, ways in PROBLEMS:
        shapes = [(batch, channels, size, size), (channels, channels, HIDDEN), (HIDDEN, taps, taps)]
        signal, *kernel = (torch.randn(shape, generator=random, dtype=stored).to(device) for shape in shapes)
        works = work(shapes[0], (channels, channels, taps, taps), hidden=HIDDEN, training=training)
        for way in ways:
            run = partial(_run, correlation, way, [_laid_out(signal, way), *kernel], dtype, training)
            times = _times(run, device)
            observed.append(Observed(way, works[way].kinds, min(times), max(times) / min(times)))
    return observed


def _laid_out(signal: Tensor, way: Way) -> Tensor:
    """A signal as it lies between layers of a method."""
    if way == "dft":
        return as_images(batch_last(signal))
    return signal.contiguous(memory_format=torch.channels_last)


def _run(correlation: Correlation, way: Way, tensors: list[Tensor], dtype: torch.dtype, training: bool) -> None:
    leaves = [tensor.detach().requires_grad_(training) for tensor in tensors]
    with torch.set_grad_enabled(training), torch.autocast(tensors[0].device.type, dtype, dtype != tensors[0].dtype):
        output = correlation(leaves[0], FactoredKernel(leaves[1], leaves[2]), method=way)
    if training:
        torch.autograd.grad(output, leaves, torch.ones_like(output))


def _times(run: Callable[[], None], device: torch.device) -> list[float]:
    """Seconds of a few runs after one that warms up."""
    run()
    times: list[float] = []
    while len(times) < REPETITIONS and sum(times) < LONGEST * REPETITIONS:
        _synchronize(device)
        started = time.perf_counter()
        run()
        _synchronize(device)
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


@cache
def device_name(device: torch.device) -> str:
    """The name that its maker gave a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", information.read_text(), re.M) if information.exists() else None
    return model[1].strip() if model else platform.processor() or platform.machine()


def _key(device: torch.device, dtype: torch.dtype) -> str:
    threads = f" {torch.get_num_threads()}" if device.type == "cpu" else ""
    return f"{device_name(device)}{threads} {str(dtype).removeprefix('torch.')} torch {torch.__version__} r{REVISION}"


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _read(path: Path) -> dict[bool, Rates] | None:
    """Rates of a file; None where there is none that can be used."""
    try:
        stored = json.loads(path.read_text())
        modes = {True: stored["training"], False: stored["forward"]}
        found = {mode: Rates(values["call"], values["operation"]) for mode, values in modes.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if all({*r.call} == {*WAYS} and {*r.operation} == {*KINDS} for r in found.values()) else None
