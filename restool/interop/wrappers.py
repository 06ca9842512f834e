"""Takes off what training scripts wrap a model in: parts of names that the model itself does not have."""

import re
from collections.abc import Iterator

from restool.interop.state import State

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
"""Of `DataParallel`, `torch.compile` and frameworks."""
_ANYWHERE = re.compile(r"(?<![^.])(module|_orig_mod)\.")


def unwrapped(state: State) -> Iterator[State]:
    """The tensors under their names in a file, then those under each prefix without it, and so on inside of these.

    What lies beside a prefix belongs to the wrapper. Parts of a model may be wrapped too: the last of all have no name
    of `DataParallel` and `torch.compile` anywhere.
    """
    yield from _inside(state)
    plain = {_ANYWHERE.sub("", name): value for name, value in state.items()}
    if plain.keys() != state.keys():
        yield from _inside(plain)


def _inside(state: State) -> Iterator[State]:
    yield state
    for prefix in PREFIXES:
        inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if inner:
            yield from _inside(inner)
