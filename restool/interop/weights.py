"""Weights of any file for a model of any name: out of their wrappers, complete, or refused with what does not fit."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from restool.errors import UsageError
from restool.interop.flexconv import is_official, renamed
from restool.interop.state import State, read_state, require_file
from restool.interop.wrappers import PREFIXES, unwrapped
from restool.models import ModelSpec
from restool.models.names import INCEPTIONS, library_name
from restool.models.norms import PREFIX as NORMS

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Heads of torchvision's GoogLeNet and Inception that serve training alone, in their files."""
MOST_SHOWN = 4
"""So many names are listed of those that do not fit."""

_DENSE = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")


@dataclass(frozen=True)
class Weights:
    """The tensors of a file.

    Attributes:
        name: of the file.
        hash: see `hash_of`.
        state: its tensors.
    """

    name: str
    hash: str
    state: State


def hash_of(path: Path) -> str:
    """First 16 hex digits of the SHA-256 of a file; MissingDataError if there is none."""
    return _hash(path, _stamp(path))


def read_weights(path: Path) -> Weights:
    """The weights of a file, to be read alone; it is opened once until it changes. Errors as in `read_state`."""
    return _read(path, _stamp(path))


def _stamp(path: Path) -> tuple[int, ...]:
    """Other numbers for a file that has changed."""
    require_file(path)
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=1)
def _hash(path: Path, stamp: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@lru_cache(maxsize=1)
def _read(path: Path, stamp: tuple[int, ...]) -> Weights:
    return Weights(path.name, _hash(path, stamp), read_state(path))


def put_weights(weights: Weights, model: nn.Module, spec: ModelSpec, *, new_head: bool = False) -> None:
    """Give a model the weights of a file.

    Args:
        weights: of the file.
        model: built by `spec`, on any device.
        spec: of the model.
        new_head: the tensors whose shape depends on the number of classes stay as they are.

    Raises:
        UsageError: the tensors are not those of the model; its notes list them.
    """
    wanted = tensors_of(model)
    found = _fitting(weights.state, wanted, spec)
    head = head_of(model, spec) if new_head or _shapes(found, wanted) else set()
    if new_head:
        if not head:
            raise UsageError(f"`new_head` cannot find the head of {spec.name}: no shape in it depends on the classes")
        found = {name: value for name, value in found.items() if name not in head}
        wanted = {name: value for name, value in wanted.items() if name not in head}
    _require_fitting(weights.name, found, wanted, head, spec)
    with torch.no_grad():
        for name, value in found.items():
            wanted[name].copy_(value)


def tensors_of(model: nn.Module) -> State:
    """The tensors of a model themselves, by their names inside of all that wraps the whole of it."""
    return _without_wrappers({name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)})


def _without_wrappers(state: State) -> State:
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            return _without_wrappers({name.removeprefix(prefix): value for name, value in state.items()})
    return state


def _fitting(state: State, wanted: State, spec: ModelSpec) -> State:
    """The tensors under those of their names that the most of the wanted ones have, and with the fewest others.

    Left out is what no model needs: a counter of averaged models, and batch norms for several sizes of restool's own.
    """

    def fit(names: State) -> tuple[int, int, int]:
        common = names.keys() & wanted.keys()
        return len(common), sum(names[name].shape == wanted[name].shape for name in common), -len(names)

    found = max((_named_as(wanted, names) for names in unwrapped(state)), key=fit)
    known = library_name(spec.name)
    left_out = ("n_averaged", NORMS, *(AUXILIARY if known is not None and known.model in INCEPTIONS else ()))
    return {name: value for name, value in found.items() if name in wanted or not name.startswith(left_out)}


def _named_as(wanted: State, state: State) -> State:
    """Tensors of the official FlexConv code under our names, and of torchvision's first DenseNets under today's."""
    if is_official(state) and "head.weight" in wanted:
        return renamed(state, wanted)
    return {_DENSE.sub(r"\1", name): value for name, value in state.items()}


def head_of(model: nn.Module, spec: ModelSpec) -> set[str]:
    """Names, as `tensors_of` gives them, of the tensors that have another shape in a model of one class more."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices):
        other = replace(spec, classes=spec.classes + 1).blank()
    return set(_shapes(tensors_of(other), tensors_of(model)))


def _shapes(found: State, wanted: State) -> dict[str, tuple[Tensor, Tensor]]:
    """Tensors of one name and two shapes."""
    pairs = {name: (found[name], value) for name, value in wanted.items() if name in found}
    return {name: pair for name, pair in pairs.items() if pair[0].shape != pair[1].shape}


def _require_fitting(file: str, found: State, wanted: State, head: set[str], spec: ModelSpec) -> None:
    shared = {wanted[name].data_ptr() for name in wanted.keys() & found.keys()}  # a file may hold tied weights once
    missing = [name for name, value in wanted.items() if name not in found and value.data_ptr() not in shared]
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]  # which old files do not have
    unexpected = [name for name in found if name not in wanted]
    shapes = _shapes(found, wanted)
    if not (missing or unexpected or shapes):
        return
    if not missing and not unexpected and shapes.keys() <= head:
        name, (tensor, _) = next(iter(shapes.items()))
        raise UsageError(
            f"{file} has a head for {len(tensor):,} classes ({name}), and the data set has {spec.classes:,}; "
            "`new_head` starts it afresh"
        )
    error = UsageError(
        f"{file} does not fit {spec.name} for {spec.classes:,} classes, {spec.channels} channels and "
        f"{spec.reference_size} px; choose the `model` and `train` that it was made with"
    )
    if missing or unexpected:
        error.add_note(f"missing in the file: {_listed(missing)}")
        error.add_note(f"unknown to the model: {_listed(unexpected)}")
    if shapes:
        told = [f"{name} {_shape(theirs)} (here {_shape(ours)})" for name, (theirs, ours) in shapes.items()]
        error.add_note(f"of another shape: {_listed(told)}")
    raise error


def _listed(names: Sequence[str]) -> str:
    """How many, and the first of them."""
    shown = ", ".join(names[:MOST_SHOWN])
    return f"{len(names)}" + (f" ({shown}{', ...' if len(names) > MOST_SHOWN else ''})" if names else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
