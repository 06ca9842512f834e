"""A results folder: records and checkpoints by key, and the locks that let several processes share it. Needs no torch.

A record is one JSON file for one cell of a grid; `results/README.md` lists its fields.
"""

import base64
import errno
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout
from numpy.typing import NDArray

from restool.errors import ArgumentError, DamagedError, UsageError
from restool.files import remove_leftovers, write_atomically
from restool.integrity import RECORD_FORMAT, SET_ASIDE, sealed
from restool.version import __version__

MARKER = "restool.json"
CHECKPOINTS = "checkpoints"


def read_logits(path: Path, n: int, digest: str | None) -> NDArray[np.float32]:
    """The logits that `ResultsFolder.write_logits` wrote: [n, C].

    Args:
        path: of the file.
        n: images of its record.
        digest: what the record says of the file; the first records do not.

    Raises:
        DamagedError: the file is damaged, another one than the record's, or not of so many images.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if digest is not None and sha256(content).hexdigest() != digest:
        raise DamagedError(f"{path} is not the one that its record was written with; {SET_ASIDE}")
    try:
        with np.load(io.BytesIO(content)) as stored:
            logits = stored["logits"]
        readable = logits.ndim == 2 and logits.dtype == np.float32
    except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error, BadZipFile) as error:
        raise DamagedError(f"{path} is damaged; {SET_ASIDE}") from error
    if not readable or len(logits) != n:
        raise DamagedError(f"{path} is not of {n} images; {SET_ASIDE}")
    return logits


WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""How a file system says that it has no locks."""


class BusyError(Exception):
    """Another process is at work on this key."""


class ResultsFolder:
    """Records lie in `records/KEY.json`, logits in `logits/KEY.npz`, checkpoints in `checkpoints/KEY.safetensors`.

    Opening it writes nothing; `create` makes it.

    Raises:
        UsageError: the path is a file, or a folder written by a restool with another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._locks: type[BaseFileLock] = FileLock
        if path.exists() and not path.is_dir():
            raise ArgumentError("out", "must be a folder", path, "that is a file")
        marker = path / MARKER
        if not marker.exists():
            return
        try:
            found = json.loads(marker.read_text("utf-8"))["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{marker} is damaged; delete it, and the next run writes it anew") from error
        if found != RECORD_FORMAT:
            raise UsageError(
                f"{path} was made by another version of restool (format {found}, this one writes {RECORD_FORMAT}); "
                "choose another `out`"
            )

    def create(self) -> None:
        """Make the folder, mark it with the format of its records, and remove what killed processes left unfinished."""
        remove_leftovers(self.path)
        if not (self.path / MARKER).exists():
            content = {"format": RECORD_FORMAT, "restool": __version__}
            write_atomically(self.path / MARKER, json.dumps(content).encode())

    def record(self, key: str) -> Path:
        """Where the record of a cell is or will be."""
        return self.path / "records" / f"{key}.json"

    def finished(self, *, with_logits: bool) -> set[str]:
        """Keys that have a record, and logits too if those are wanted, by one look at each folder."""
        keys = {path.stem for path in self.path.glob("records/*.json")}
        return keys & {path.stem for path in self.path.glob("logits/*.npz")} if with_logits else keys

    def checkpoint(self, key: str) -> Path:
        """Where the checkpoint of a training is or will be."""
        return self.path / CHECKPOINTS / f"{key}.safetensors"

    def logits(self, key: str) -> Path:
        """Where the logits of a cell are, or will be if they are kept."""
        return self.path / "logits" / f"{key}.npz"

    def write_logits(self, key: str, logits: NDArray[np.float32]) -> str:
        """Keep the logits of a cell, compressed: [N, C], of test images in stored order; gives the file's digest."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, logits=logits)
        write_atomically(self.logits(key), buffer.getvalue())
        return sha256(buffer.getvalue()).hexdigest()

    def write_record(
        self,
        key: str,
        cell: Mapping[str, Any],
        correct: NDArray[np.bool_],
        timing: Mapping[str, float],
        environment: Mapping[str, Any],
        figures: Mapping[str, float] | None = None,
        checkpoint: str | None = None,
        logits: str | None = None,
        made: Mapping[str, str] | None = None,
    ) -> None:
        """Write the record of a cell.

        Args:
            key: of the cell.
            cell: everything that decides its result.
            correct: whether each test image was classified correctly, [N].
            timing: seconds by activity, and how many numbers fine-tuning trained.
            environment: of the code and the machine that made it.
            figures: of its outputs and of what an image costs, beside the accuracy; the first records have none.
            checkpoint: digest of the checkpoint that was tested.
            logits: digest of the file of logits, where they are kept.
            made: when and by which command.
        """
        record = {
            "format": RECORD_FORMAT,
            "key": key,
            "cell": dict(cell),
            "result": {
                "accuracy": float(correct.mean()),
                "n": len(correct),
                "correct": base64.b64encode(np.packbits(correct).tobytes()).decode(),
            },
            **({"figures": dict(figures)} if figures else {}),
            "timing": {name: round(seconds, 3) for name, seconds in timing.items()},
            "environment": dict(environment),
            **({"checkpoint": checkpoint} if checkpoint else {}),
            **({"logits": logits} if logits else {}),
            **({"made": dict(made)} if made else {}),
        }
        write_atomically(self.record(key), (json.dumps(sealed(record), indent=1) + "\n").encode())

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a key against other processes; the system lets go of it when a process dies.

        On a file system without locks a file that is created says who holds it, by machine and process.

        Raises:
            BusyError: another process holds it.
        """
        path = self.path / "locks" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        held = self._locks(path, blocking=False)
        try:
            held.acquire()
        except Timeout as error:
            raise BusyError(key) from error
        except OSError as error:
            if self._locks is SoftFileLock or error.errno not in WITHOUT_LOCKS:
                raise
            print(f"restool: {self.path} is on a file system without locks; files tell who is at work", file=sys.stderr)
            self._locks = SoftFileLock
            with self.lock(key):
                yield
            return
        try:
            yield
        finally:
            held.release()

    def is_held(self, key: str) -> bool:
        """Whether another process holds a key at this moment."""
        try:
            with self.lock(key):
                return False
        except BusyError:
            return True
