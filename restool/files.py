"""Files that are always whole: written beside their place and renamed into it."""

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_TEMPORARY = re.compile(r".+\.(?P<process>\d+)(?:@(?P<host>[\w-]+))?\.tmp")


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, so that at any moment the file is the old one or the new one; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk does not say what it has no room for
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder by their names, each whole or not at all, and return their paths."""
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def temporary_name(name: str) -> str:
    """The name of what this process makes for a while, by which `leftovers` finds it later."""
    return f"{name}.{os.getpid()}@{_host()}.tmp"


def leftovers(paths: Iterable[Path]) -> Iterator[Path]:
    """Those of some paths that processes of this machine were killed over, by their names.

    Those of a living process are left out, and so are those of another machine that shares the folder.
    """
    for path in paths:
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
