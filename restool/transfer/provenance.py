"""Where a record comes from: versions, source revision and device."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from restool.devices import device_name
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
