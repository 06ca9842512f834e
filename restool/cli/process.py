"""The process around a command: streams that may be closed, signals, and an environment that was made for others."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""The exit statuses of a process that was asked to end."""


def main() -> None:
    """Run the command line; every error a user can mend ends as one line on stderr and its exit status."""
    _open_streams()
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever a notebook around has set
    received: list[int] = []
    with _signals(received):
        try:
            from restool.cli.app import run  # here, so that an interrupt while it is imported is heard

            run()
        except KeyboardInterrupt:
            print("restool: interrupted", file=sys.stderr)
            raise SystemExit(_status(received)) from None
        except SystemExit as end:
            if end.code == INTERRUPTED:
                raise SystemExit(_status(received)) from None
            raise


def _status(received: list[int]) -> int:
    """The exit status of a command that was stopped by one of these signals, or by SIGINT."""
    return TERMINATED if signal.SIGTERM in received else INTERRUPTED


@contextlib.contextmanager
def _signals(received: list[int]) -> Iterator[None]:
    """SIGTERM, which schedulers send, ends a command as SIGINT does.

    Libraries that are being loaded may swallow an interrupt and stumble over what they lack then, so that it ends the
    process on the spot.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        if _is_loading(frame):
            print("restool: interrupted", file=sys.stderr, flush=True)
            os._exit(_status(received))
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_loading(frame: FrameType | None) -> bool:
    """Whether a module is being imported below `main`."""
    while frame is not None and frame.f_code is not main.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _open_streams() -> None:
    """Streams that whoever started the process has closed swallow what is written; others write what they can."""
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers, which closed ones take again
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
