"""Which errors end the work on a cell alone, and what is told of them."""

import traceback

from restool.errors import RestoolError, UsageError, is_out_of_memory
from restool.models.external import in_one_line, require_failure
from restool.transfer.fitting import is_external

CALLS = ("torch.nn.modules.module", "torch.autograd")
"""Modules of PyTorch that call the code of a model, or load into it."""


def failure_of(error: BaseException, model: str, step: str) -> RestoolError:
    """What is told of an error that ends the work on a cell; one that ends all work is raised again.

    A cell fails by what a user can mend, by memory that does not suffice, and by what the code of a model from
    elsewhere raises, be it an exit.

    Args:
        error: as it was caught.
        model: its name.
        step: what it could not be, such as "tested".
    """
    if isinstance(error, RestoolError):
        return error
    if is_out_of_memory(error):
        return UsageError("not enough memory; choose smaller sizes or batches")
    require_failure(error)
    frames = traceback.walk_tb(error.__traceback__)
    if not is_external(model) or not any(frame.f_globals.get("__name__", "").startswith(CALLS) for frame, _ in frames):
        raise error
    failure = UsageError(f"{model} cannot be {step}: {in_one_line(error)}; change its code")
    failure.__cause__ = error
    return failure
