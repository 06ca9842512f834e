"""Where a record comes from: versions, source revision, device, and what decides the last bits of its numbers."""

import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from restool.correlation import Method
from restool.correlation.rates import RATES
from restool.devices import device_name
from restool.models.names import library_name
from restool.version import __version__

PACKAGE = Path(__file__).resolve().parents[1]


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, source revision and device, for a record."""
    return {
        "restool": __version__,
        "git": _git_revision(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(device),
    }


def conditions(model: str, method: Method, device: torch.device) -> dict[str, Any]:
    """What else decides the last bits of a model's numbers, for a record: other libraries, threads, methods.

    `methods` is how continuous layers convolve, and for "auto" a hash of the rates that it went by, or "reference"
    where there are no others. It is left out while no layer has asked.
    """
    import torchvision  # 80 MB that only records and some models need

    found = library_name(model)
    libraries = {found.library: version(found.library)} if found is not None and found.library != "torchvision" else {}
    told = {"torchvision": torchvision.__version__, **libraries}
    if device.type == "cpu":
        told["threads"] = torch.get_num_threads()
    rates = RATES.identity()
    return told | ({"methods": f"auto, {rates}" if method == "auto" else method} if rates else {})


def made() -> dict[str, str]:
    """When a record was made and by which command; of folders the last name stays, for others' paths mean nothing."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    typed = shlex.join(re.sub(r"(^|[:=,])(?:~|\.{1,2})?/(?:[^/,]*/)*(?=[^/])", r"\1", word) for word in words)
    return {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "command": typed}


def _git_revision() -> str | None:
    """Commit of the checkout that restool runs from, with `-dirty` if the package differs from it; None outside one."""
    try:
        if not _git("ls-files", "__init__.py"):  # an installed copy is not the checkout around it
            return None
        commit, changes = _git("rev-parse", "HEAD")[:12], _git("status", "-s", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
