"""Models from elsewhere among restool's own: what they give becomes logits, and they get images in the usual layout."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

NAMES = ("logits", "out")
"""A dict holds logits under one of these."""


def logits_of(output: Any) -> Tensor:
    """The logits in what a model gives.

    A tensor is its own logits, of a tuple or a list it is the first entry, of a dict what lies under `NAMES`, and of
    any other object its attribute `logits`.

    Raises:
        TypeError: none of these is a tensor; the message says what was given.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        found = next((output[name] for name in NAMES if name in output), None)
        held = f" with {', '.join(map(str, output))}"
    elif isinstance(output, tuple | list):
        found = output[0] if output else None
        held = f" of {', '.join(type(entry).__name__ for entry in output)}" if output else ""
    else:
        found, held = getattr(output, "logits", None), ""
    if isinstance(found, Tensor):
        return found
    raise TypeError(
        f"it gives a {type(output).__name__}{held}, and logits are a tensor, the first of a tuple, 'logits' or 'out' "
        "of a dict, or an attribute 'logits'"
    )


def give_logits(model: nn.Module) -> None:
    """Let a model give logits alone; names of its state stay as they are."""
    model.register_forward_hook(_give_logits)


def take_contiguous(model: nn.Module) -> None:
    """Let a model get images channel by channel, as `view` needs them; restool's lie pixel by pixel."""
    model.register_forward_pre_hook(_take_contiguous)


def _give_logits(model: nn.Module, given: Any, output: Any) -> Tensor:
    return logits_of(output)


def _take_contiguous(model: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each.contiguous() if isinstance(each, Tensor) else each for each in given)
