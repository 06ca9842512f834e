"""Files that are always whole: written beside their place and renamed into it."""

import errno
import os
import platform
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

_TEMPORARY = re.compile(r".+\.(?P<process>\d+)(?:@(?P<host>[\w-]+))?\.tmp")


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, so that at any moment the file is the old one or the new one; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / temporary_name(path.name)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)  # and not the temporary file's; a full disk names none
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder by their names, each whole or not at all, and return their paths.

    What killed processes left half written there is removed.
    """
    remove_leftovers(folder, "*.tmp")
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def require_place(folder: Path) -> None:
    """Raise OSError where a folder neither is nor can be made, before any work is done for it; nothing is made."""
    for path in (folder, *folder.parents):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return


def temporary_name(name: str) -> str:
    """The name of what this process makes for a while, by which `leftovers` finds it later."""
    return f"{name}.{os.getpid()}@{_host()}.tmp"


def remove_leftovers(folder: Path, pattern: str = "**/*.tmp") -> None:
    """Remove the `leftovers` of a folder."""
    for path in leftovers(folder, pattern):
        path.unlink(missing_ok=True)


def leftovers(folder: Path, pattern: str = "**/*.tmp") -> Iterator[Path]:
    """Temporary files in a folder, by default in those below it too, that processes of this machine were killed over.

    Those of a living process are left out, and so are those of another machine that shares the folder.
    """
    for path in folder.glob(pattern):
        named = _TEMPORARY.fullmatch(path.name)
        if named and named["host"] in (None, _host()) and not _lives(int(named["process"])):
            yield path


def _host() -> str:
    return re.sub(r"[^\w-]", "-", platform.node()) or "localhost"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
