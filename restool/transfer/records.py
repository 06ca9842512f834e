"""A results folder: records and checkpoints by key, and the locks that let several processes share it."""

import base64
import fcntl
import json
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import restool
from restool.errors import UsageError
from restool.files import write_atomically
from restool.transfer.cells import FORMAT, Cell

MARKER = "restool.json"


class BusyError(Exception):
    """Another process is at work on this key."""


class ResultsFolder:
    """Records lie in `records/KEY.json`, checkpoints in `checkpoints/KEY.safetensors`, locks in `locks/`.

    Opening it writes nothing; `create` makes it.

    Raises:
        UsageError: the path is a file, or a folder written by a restool with another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise UsageError(f"--out must be a folder, but {path} is a file")
        marker = path / MARKER
        if not marker.exists():
            return
        try:
            found = json.loads(marker.read_text())["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{marker} is damaged; choose another --out") from error
        if found != FORMAT:
            raise UsageError(
                f"{path} was made by another version of restool (format {found}, this one writes {FORMAT}); "
                "choose another --out"
            )

    def create(self) -> None:
        """Make the folder and mark it with the format of its records."""
        if not (self.path / MARKER).exists():
            content = {"format": FORMAT, "restool": restool.__version__}
            write_atomically(self.path / MARKER, json.dumps(content).encode())

    def record(self, cell: Cell) -> Path:
        """Where a cell's record is or will be."""
        return self.path / "records" / f"{cell.key}.json"

    def checkpoint(self, key: str) -> Path:
        """Where the checkpoint of a source run or a fine-tuning cell is or will be."""
        return self.path / "checkpoints" / f"{key}.safetensors"

    def write_record(self, cell: Cell, correct: Tensor, timing: dict[str, float], surroundings: dict[str, Any]) -> None:
        """Write a cell's record.

        Args:
            cell: decides the key.
            correct: whether each test image was classified correctly, [N] bool.
            timing: seconds by activity.
            surroundings: see `environment`.
        """
        bits = correct.cpu().numpy()
        record = {
            "format": FORMAT,
            "key": cell.key,
            "cell": cell.fields,
            "result": {
                "accuracy": float(bits.mean()),
                "n": len(bits),
                "correct": base64.b64encode(np.packbits(bits).tobytes()).decode(),
            },
            "timing": {name: round(seconds, 3) for name, seconds in timing.items()},
            "environment": surroundings,
        }
        write_atomically(self.record(cell), (json.dumps(record, indent=1) + "\n").encode())

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a key against other processes; the system lets go of it when a process dies.

        Raises:
            BusyError: another process holds it.
        """
        path = self.path / "locks" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(key) from error
            yield


def environment(device: str) -> dict[str, Any]:
    """Versions, source revision and device, for a record."""
    return {
        "restool": restool.__version__,
        "git": _git_revision(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
    }


def _git_revision() -> str | None:
    """Commit of the checkout that restool runs from, with `-dirty` if the package differs from it; None outside one."""
    package = Path(restool.__file__).parent
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")  # an installed copy is not the checkout around it
        commit = _git(package, "rev-parse", "--short=12", "HEAD")
        changes = _git(package, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changes else commit


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
