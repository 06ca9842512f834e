"""Errors a user can mend: one line each, with the exit status the command line ends on."""


class RestoolError(Exception):
    """Base of every error that is shown as one line instead of a traceback."""

    exit_status = 1


class UsageError(RestoolError, ValueError):
    """An argument breaks a rule; the message names the argument, the rule, the value and the mend."""

    exit_status = 2


class CellsFailedError(RestoolError):
    """Some cells of a grid failed; the others have their records."""

    exit_status = 3


class MissingDataError(RestoolError, FileNotFoundError):
    """Data or a checkpoint is missing or damaged."""

    exit_status = 4
