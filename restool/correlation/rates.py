"""Rates of devices, which decide the method that `auto` takes: read from a file, or measured once when asked.

A file names the device, the dtype and what else decides the rates. `RESTOOL_CACHE` names the folder of the files;
otherwise it is `restool` in the user's cache folder. Where that cannot be written, each process measures for itself.
"""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import torch

from restool.correlation.calibration import measure
from restool.correlation.cost import KINDS, WAYS, Rates
from restool.devices import device_name
from restool.files import write_atomically
from restool.integrity import digest_of

REVISION = 2
"""The revision of the methods is part of a file's name: rates of another one are not read."""

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
"""These are the rates with (True) and without gradients of one core of an AMD EPYC with AVX-512, in float32.

They stand in for a device that was not measured, and decide every choice under
`torch.use_deterministic_algorithms(True)`, where the method must not depend on a measurement.
"""

ModeRates = dict[bool, Rates]
"""Rates with (True) and without gradients."""


class DeviceRates:
    """The rates of all devices that this process has met."""

    def __init__(self) -> None:
        self._found: dict[str, ModeRates] = {}
        self._calibrated: set[str] = set()

    def known(self, device: torch.device, dtype: torch.dtype) -> ModeRates:
        """Rates of a device for a dtype, from its file where there is one, else `REFERENCE`; measures nothing."""
        if torch.are_deterministic_algorithms_enabled():
            return REFERENCE
        key = _key(device, dtype)
        if key not in self._found:
            self._found[key] = read(rates_file(device, dtype)) or REFERENCE
        return self._found[key]

    def identity(self) -> str:
        """What the choices of this process go by: "reference", or a hash of the rates; empty before any is made."""
        if torch.are_deterministic_algorithms_enabled() or all(found is REFERENCE for found in self._found.values()):
            return "reference" if self._found or torch.are_deterministic_algorithms_enabled() else ""
        return digest_of({key: _as_json(found) for key, found in self._found.items()})[:8]

    def calibrate(self, device: torch.device, dtype: torch.dtype) -> None:
        """Measure a device, in about three seconds, unless its rates are known from its file or an earlier call.

        Where other work disturbs the measurement, nothing is kept and the process goes on with `REFERENCE`.
        """
        key, path = _key(device, dtype), rates_file(device, dtype)
        if torch.are_deterministic_algorithms_enabled() or key in self._calibrated:
            return
        found = read(path)
        if found is None:
            measured = measure(device, dtype)
            found = read(path)  # what another process wrote in the meantime serves all
            if found is None and measured is not None:
                write(path, measured)
            found = found or measured or REFERENCE
        self._found[key] = found
        self._calibrated.add(key)


RATES = DeviceRates()
"""Every choice of this process asks this object."""


def rates_file(device: torch.device, dtype: torch.dtype) -> Path:
    """Where the rates of a device are kept."""
    base = os.environ.get("RESTOOL_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "restool")
    name = re.sub(r"[^A-Za-z0-9.]+", "-", _key(device, dtype)).strip("-")
    try:
        folder = Path(base).expanduser()
    except RuntimeError:  # of a user whom this machine does not know
        folder = Path(base)
    return folder / f"rates-{name}.json"


def write(path: Path, found: ModeRates) -> None:
    """Keep rates for other processes; a folder that cannot be written is no error."""
    try:
        write_atomically(path, json.dumps(_as_json(found), indent=1).encode())
    except OSError:
        return


def _as_json(found: ModeRates) -> dict[str, Any]:
    modes = {"training": found[True], "forward": found[False]}
    return {mode: {"call": rates.call, "operation": rates.operation} for mode, rates in modes.items()}


def read(path: Path) -> ModeRates | None:
    """Rates of a file; None where there is none that can be used."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        modes = {True: stored["training"], False: stored["forward"]}
        found = {mode: Rates(values["call"], values["operation"]) for mode, values in modes.items()}
        usable = all(_is_usable(rates) for rates in found.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found if usable else None


def _is_usable(rates: Rates) -> bool:
    """Whether a file tells every rate, as a number of seconds."""
    values = [*rates.call.values(), *rates.operation.values()]
    named = {*rates.call} == {*WAYS} and {*rates.operation} == {*KINDS}
    return named and all(isinstance(value, float | int) and 0 <= value < math.inf for value in values)


def _key(device: torch.device, dtype: torch.dtype) -> str:
    threads = f" {torch.get_num_threads()}" if device.type == "cpu" else ""
    return f"{device_name(device)}{threads} {str(dtype).removeprefix('torch.')} torch {torch.__version__} r{REVISION}"
