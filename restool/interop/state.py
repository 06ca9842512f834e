"""Reads the tensors of a file of weights, whoever wrote it; nothing of the file is ever run."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from restool.errors import MissingDataError, UsageError

State = dict[str, Tensor]

KEYS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema",
    "state_dict", "model_state_dict", "model_state", "model", "network", "net", "module", "weights", "params",
)  # fmt: skip
"""A state dict lies under one of these, averaged weights before others, as timm takes them."""
MOST_LAYERS = 4
"""State dicts are looked for in dicts nested so deep."""


class Inert:
    """Takes the place of every object of a file that is no tensor and no plain value: it keeps and does nothing."""

    def __new__(cls, *given: Any) -> "Inert":
        """Of any arguments."""
        return super().__new__(cls)

    def __init__(self, *given: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


def read_state(path: Path) -> State:
    """The tensors of a .safetensors file or of one that `torch.save` wrote, by their names in it.

    A state dict may lie under a usual key (`KEYS`). Of a checkpoint of restool's these are the model's tensors.

    Raises:
        MissingDataError: no such file, or it is damaged or something else.
        UsageError: it needs pickle code, or holds no state dict.
    """
    require_file(path)
    with path.open("rb") as file:
        start = file.read(200)
    if start.lstrip()[:1] == b"<":
        raise MissingDataError(f"{path.name} is a web page and no file of weights; download the file itself")
    if start.startswith(b"version https://git-lfs"):
        raise MissingDataError(f"{path.name} only says where its content lies; `git lfs pull` fetches it")
    if path.suffix == ".safetensors" or start[8:10] == b'{"':
        return _of_safetensors(path)
    content = _unpickled(path)
    state = _found(content, MOST_LAYERS)
    if state is not None:
        return state
    if _holds_objects(content):
        raise _needs_code(path)
    told = ", ".join(str(key) for key in list(content)[:8]) if isinstance(content, Mapping) else ""
    held = f" among {told}" if told else ""
    raise UsageError(f"{path.name} holds no state dict{held}; save model.state_dict() and give that file")


def require_file(path: Path) -> None:
    """Raise MissingDataError where there is no file."""
    if not path.is_file():
        raise MissingDataError(f"no file of weights at {path}; give a .safetensors, .pt, .pth or .bin file")


def _of_safetensors(path: Path) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            own = "restool" in (file.metadata() or {})
            names = [name for name in file.keys() if not own or name.startswith("model.")]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise _damaged(path) from error


def _unpickled(path: Path) -> Any:
    """What `torch.save` wrote, with `Inert` in the place of objects."""
    try:
        with warnings.catch_warnings(action="ignore"):  # torch speaks of pickle protocols; the errors here say it all
            try:
                stand_ins: list[Any] = [(Inert, name) for name in get_unsafe_globals_in_checkpoint(path)]
            except ValueError:  # the format before torch 1.6
                stand_ins = []
            with safe_globals(stand_ins):
                return torch.load(path, map_location="cpu", weights_only=True)
    # garbage can end torch's reader in any exception; only classes and functions it will not call mean pickle code
    except Exception as error:
        text, refused = str(error).lower(), isinstance(error, pickle.UnpicklingError)
        if "torchscript" in text or (refused and ("global" in text or is_zipfile(path))):
            raise _needs_code(path) from error
        raise _damaged(path) from error


def _found(content: Any, depth: int) -> State | None:
    """The state dict in what a file holds, or None."""
    if not isinstance(content, Mapping) or depth == 0:
        return None
    for key in KEYS:
        state = _found(content.get(key), depth - 1)
        if state is not None:
            return state
    state = {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}
    return state if 2 * len(state) > len(content) else None  # a few tensors beside other things are figures


def _holds_objects(content: Any) -> bool:
    if isinstance(content, Mapping):
        return any(map(_holds_objects, content.values()))
    return isinstance(content, Inert)


def _needs_code(path: Path) -> UsageError:
    return UsageError(
        f"{path.name} needs pickle code to load, which restool never runs; save model.state_dict() and give that file"
    )


def _damaged(path: Path) -> MissingDataError:
    return MissingDataError(f"{path.name} is damaged or no file of weights; copy or download it again")
