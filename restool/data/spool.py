"""Encoded images of data sets whose files cannot be read image by image: on disk where they would fill the memory."""

import os
import tempfile
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from typing import Any

from restool.errors import RestoolError


class Spool:
    """A temporary file without a name, which ends with the last process that has it, however that ends.

    Args:
        most_held: so many bytes stay in memory instead.
    """

    def __init__(self, most_held: int) -> None:
        self._room = most_held
        self._file: int | None = None
        self._end = 0

    def put(self, content: bytes) -> "bytes | Stored":
        """The content itself as long as there is room for it in memory, else where it is stored.

        Raises:
            RestoolError: the disk is full, or its folder of temporary files cannot be written.
        """
        if len(content) <= self._room:
            self._room -= len(content)
            return content
        self._room = 0
        try:
            if self._file is None:
                with tempfile.TemporaryFile(prefix="restool-") as made:
                    self._file = os.dup(made.fileno())
            written = 0
            while written < len(content):
                written += os.pwrite(self._file, memoryview(content)[written:], self._end + written)
        except OSError as error:
            raise RestoolError(
                f"{tempfile.gettempdir()} cannot take the images that are too many for the memory: {error.strerror}; "
                "let TMPDIR name a folder with more room"
            ) from error
        start, self._end = self._end, self._end + len(content)
        return Stored(self, start, len(content))

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from a place on; by any number of threads and processes."""
        assert self._file is not None
        parts = []
        while size and (part := os.pread(self._file, size, start)):  # one call gives no more than 2 GiB
            parts.append(part)
            start, size = start + len(part), size - len(part)
        return b"".join(parts)

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process that is started with it, which gets the same open file."""
        assert self._file is not None  # only what is stored in it leads to it
        return _received, (DupFd(self._file),)


@dataclass(frozen=True, slots=True)
class Stored:
    """The place of an image in a spool."""

    spool: Spool
    start: int
    size: int

    def read_bytes(self) -> bytes:
        """The image."""
        return self.spool.read(self.start, self.size)


def _received(file: Any) -> Spool:
    """A spool to read from."""
    spool = Spool(0)
    spool._file = file.detach()
    return spool
