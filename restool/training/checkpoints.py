"""Checkpoints: one safetensors file, written atomically, with a JSON header that says how to rebuild the model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from restool.errors import ArgumentError, DamagedError, MissingDataError, RestoolError, UsageError
from restool.files import write_atomically
from restool.integrity import SET_ASIDE, digest_of
from restool.models import ModelSpec
from restool.models.names import is_code
from restool.models.norms import keep_sets, kept_sizes
from restool.records import CHECKPOINTS

CHECKPOINT_FORMAT = 1
"""This number is raised when an older restool could not read what a newer one writes."""
_TAKEN = "`restool sweep` takes other files as `weights` of a named model"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model's state and where its training stands.

    Attributes:
        spec: builds a model of the same shape.
        model: its state dict.
        epoch: epochs done.
        history: one dict of figures per epoch.
        optimizer: state of the optimiser by parameter index, empty once training is over.
        facts: what else its writer wants to remember (seed, recipe, data set, ...); JSON values.
        digest: of all of it, as it was read from a file; empty where it was not, or the file is of the first ones.
    """

    spec: ModelSpec
    model: dict[str, Tensor]
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    optimizer: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    def restore_optimizer(self, optimizer: Optimizer) -> None:
        """Put the stored moments into a freshly made optimiser of the same model."""
        optimizer.load_state_dict({"state": self.optimizer, "param_groups": optimizer.state_dict()["param_groups"]})


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, so that `path` is at any moment a whole one."""
    tensors = {f"model.{name}": value for name, value in checkpoint.model.items()}
    for index, state in checkpoint.optimizer.items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    header = {
        "format": CHECKPOINT_FORMAT,
        "spec": asdict(checkpoint.spec),
        "epoch": checkpoint.epoch,
        "history": checkpoint.history,
        "facts": checkpoint.facts,
    }
    stored = _as_stored(tensors)
    header["digest"] = _digest(header, stored)
    write_atomically(path, save(stored, metadata={"restool": json.dumps(header)}))


def _digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a header without its digest, and of the name, dtype, shape and bytes of every tensor."""
    found = hashlib.sha256(digest_of({name: value for name, value in header.items() if name != "digest"}).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as a safetensors file has them; those that share memory, as tied weights do, are stored under each name.

    Raises:
        TypeError: something is no tensor, such as the extra state of a module.
    """
    return save(_as_stored(tensors))


def _as_stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__} and no tensor")
        tensor = value.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        plain[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return plain


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        MissingDataError: no such file.
        DamagedError: the file is no checkpoint, or not what was written.
        UsageError: the file was not written by restool, or by a version with another format.
        OSError: it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"no checkpoint at {path}; `restool ls runs` lists those of a results folder")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("restool")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a method, not a dict)
    except SafetensorError as error:
        raise DamagedError(f"{path.name} {_unreadable(path)}") from error
    if text is None:
        raise UsageError(f"{path.name} was not written by restool; {_TAKEN}")
    try:
        return _parse(path, json.loads(text), tensors)
    except RestoolError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path.name} has a damaged header; {_mend(path)}") from error


def read_digest(path: Path) -> str:
    """What a checkpoint was sealed with, from its header alone; empty for one of the first ones."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["restool"]).get("digest", "")


def _unreadable(path: Path) -> str:
    """What is said of a torch file, and of any other that is no safetensors file."""
    if path.suffix in (".pt", ".pth", ".bin"):
        return f"is no checkpoint of restool; {_TAKEN}"
    return f"is damaged or no safetensors file; {_mend(path)}"


def _mend(path: Path) -> str:
    """What to do about a damaged file: those of a results folder are made anew."""
    return SET_ASIDE if path.parent.name == CHECKPOINTS else "copy, train or import it again"


def _parse(path: Path, header: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    if header["format"] != CHECKPOINT_FORMAT:
        raise UsageError(
            f"{path.name} has format {header['format']}, this restool reads {CHECKPOINT_FORMAT}; train it again"
        )
    digest, problem = header.get("digest", ""), None
    if digest and digest != _digest(header, tensors):
        problem = "was changed after it was written"
    elif not digest and any(value.is_floating_point() and bool(value.isnan().any()) for value in tensors.values()):
        problem = "holds weights that are no numbers"
    elif header["history"] and len(header["history"]) != header["epoch"]:
        problem = f"has {len(header['history'])} epochs in its history and not {header['epoch']}"
    if problem:
        raise DamagedError(f"{path.name} {problem}; {_mend(path)}")
    optimizer: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, part = name.split(".", 2)
            optimizer.setdefault(int(index), {})[part] = value
    return Checkpoint(
        spec=ModelSpec(**header["spec"]),
        model={name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")},
        epoch=header["epoch"],
        history=header["history"],
        optimizer=optimizer,
        facts=header["facts"],
        digest=digest,
    )


def load_model(
    path: str | Path, device: torch.device | str = "cpu", *, model: str | None = None
) -> tuple[nn.Module, Checkpoint]:
    """The model of a checkpoint, in evaluation mode on a device.

    Args:
        path: of the file.
        device: for the model.
        model: its name, which a model of MODULE:FACTORY needs: a file alone never decides what is imported and called.

    Raises:
        UsageError: its tensors do not fit the named model, or the name is missing or another; and as `load_checkpoint`.
    """
    checkpoint = load_checkpoint(path)
    name = checkpoint.spec.name
    if model is None and is_code(name):
        raise UsageError(f"{Path(path).name} is of {name}, which is code of yours; name it as `model` to have it run")
    if model not in (None, name):
        raise ArgumentError("model", f"must be {name}, of which {Path(path).name} is", model)
    built = checkpoint.spec.blank()
    keep_sets(built, kept_sizes(checkpoint.model))
    put_state(built, checkpoint, Path(path))
    return built.to(device).eval(), checkpoint


def put_state(model: nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    """Give a model the tensors of a checkpoint.

    Raises:
        UsageError: they do not fit it by name, shape or dtype.
    """
    own = model.state_dict()
    for name, value in checkpoint.model.items():
        if name in own and isinstance(own[name], Tensor) and own[name].dtype != value.dtype:
            reason = f"{name} is {_plain(value.dtype)} and not {_plain(own[name].dtype)}"
            raise UsageError(f"{path.name} does not fit {checkpoint.spec.name}: {reason}")
    try:
        model.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"{path.name} does not fit {checkpoint.spec.name}: {reason}") from error


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
