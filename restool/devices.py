"""Devices to compute on: chosen by a name, described, waited for, and how a process holds memory on a CPU."""

import ctypes
import os
import platform
import re
from functools import cache
from pathlib import Path

import torch

from restool.errors import ArgumentError

NAME = re.compile(r"auto|cpu|cuda(:(0|[1-9][0-9]*))?")

LARGEST_BLOCK = 32 << 20
"""The GNU library takes no limit above this number of bytes."""
MOST_KEPT = 2**31 - 1
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def choose_device(name: str) -> torch.device:
    """The device of a name, which this process computes on from now on.

    A GPU becomes torch's current one, so that nothing that names none lands on another. A CPU keeps freed memory.

    Args:
        name: "cpu"; "cuda:K" for the GPU that torch counts as K, from 0; "cuda" for torch's current one; or "auto",
            which is "cuda" where there is a GPU and else "cpu".

    Returns:
        A GPU with its number, as the tensors on it tell theirs.

    Raises:
        ArgumentError: no such name, or a GPU that torch does not see.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ArgumentError("device", "must be auto, cpu, cuda or cuda:K, K being the number of a GPU", name)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        keep_freed_memory()
        return torch.device("cpu")
    if not gpus:
        raise ArgumentError(
            "device", "must be a device that torch can use, and it sees no NVIDIA GPU", name, "use cpu or auto"
        )
    numbered = [f"cuda:{number}" for number in range(gpus)]
    if name in ("auto", "cuda"):
        name = numbered[torch.cuda.current_device()]
    if name not in numbered:
        seen = f"{gpus} NVIDIA GPU{'s' if gpus > 1 else ''}"
        raise ArgumentError("device", f"must be one of {', '.join(numbered)}, as torch sees {seen}", name)
    torch.cuda.set_device(name)
    return torch.device(name)


def be_deterministic() -> None:
    """The same seed gives the same bytes from now on, whatever else the machine does.

    One thread computes, methods are those of the reference rates, and torch refuses what it cannot repeat.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by torch, before CUDA is first used
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)


@cache
def device_name(device: torch.device) -> str:
    """The name that its maker gave a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", information.read_text("utf-8"), re.M) if information.exists() else None
    return model[1].strip() if model else platform.processor() or platform.machine()


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all work that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for the next tensor instead of returning it to the system.

    Every page that comes from the system anew is cleared first, which costs a training step on a CPU 10 to 25 % of its
    time. Returns whether the library took it: the GNU library does, others are left as they are.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return False
    return all(
        library.mallopt(what, value) == 1
        for what, value in ((_MMAP_THRESHOLD, LARGEST_BLOCK), (_TRIM_THRESHOLD, MOST_KEPT))
    )
