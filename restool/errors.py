"""Errors a user can mend: one line each, with the exit status the command line ends on.

A message calls an argument by its name in backticks, such as `batch_size`. Who shows a message may call arguments
otherwise (`RestoolError.told`): the command line writes the option that was typed.
"""

import re
from collections.abc import Callable


class RestoolError(Exception):
    """Base of every error that is shown as one line instead of a traceback."""

    exit_status = 1

    def told(self, called: Callable[[str], str]) -> str:
        """The message, with every argument in backticks replaced by what it is called."""
        return re.sub(r"`(\w+)`", lambda match: called(match[1]), str(self))


class UsageError(RestoolError, ValueError):
    """What was asked for cannot be done; the message says why and how to mend it."""

    exit_status = 2


class ArgumentError(UsageError):
    """An argument breaks a rule.

    Args:
        field: name of the argument, as Python spells it.
        rule: what it must be, as in "must be at least 2".
        value: what it is.
        mend: what to do instead, where the rule does not say it.
    """

    def __init__(self, field: str, rule: str, value: object, mend: str = "") -> None:
        super().__init__(field, rule, value, mend)
        self.field, self.rule, self.value, self.mend = field, rule, value, mend

    def __str__(self) -> str:
        """`field` rule, but is value; mend."""
        shown = repr(self.value) if isinstance(self.value, str) else str(self.value)
        return f"`{self.field}` {self.rule}, but is {shown}" + (f"; {self.mend}" if self.mend else "")


class CellsFailedError(RestoolError):
    """Some cells of a grid failed; the others have their records."""

    exit_status = 3


class MissingDataError(RestoolError, FileNotFoundError):
    """Data or a checkpoint is missing or damaged."""

    exit_status = 4


class DamagedError(MissingDataError):
    """A file of a results folder does not hold together; it is not used."""


ALLOCATOR = ("DefaultCPUAllocator: ", "Storage size calculation overflowed")
"""Words of the errors that torch has no type for: those of a CPU without memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a device does not suffice; needs no torch."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or any(words in str(error) for words in ALLOCATOR)
