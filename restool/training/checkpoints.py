"""Checkpoints: one safetensors file, written atomically, with a JSON header that says how to rebuild the model."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from restool.errors import MissingDataError, RestoolError, UsageError
from restool.files import write_atomically
from restool.models import ModelSpec
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
    """

    spec: ModelSpec
    model: dict[str, Tensor]
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    optimizer: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

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
    write_atomically(path, packed(tensors, {"restool": json.dumps(header)}))


def packed(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors as a safetensors file has them; those that share memory, as tied weights do, are stored under each name.

    Raises:
        TypeError: something is no tensor, such as the extra state of a module.
    """
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__} and no tensor")
        tensor = value.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        plain[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return save(plain, metadata=metadata)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        MissingDataError: no such file, or it is damaged.
        UsageError: the file was not written by restool, or by a version with another format.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"no checkpoint at {path}; `restool ls runs` lists those of a results folder")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("restool")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a method, not a dict)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path) from error
    if text is None:
        raise UsageError(f"{path.name} was not written by restool; {_TAKEN}")
    try:
        return _parse(path, json.loads(text), tensors)
    except RestoolError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MissingDataError(f"{path.name} has a damaged header; delete it, then train or import it again") from error


def _unreadable(path: Path) -> MissingDataError:
    """What is said of a file of restool's own folders, of a torch file, and of any other file of a user's."""
    if path.parent.name == CHECKPOINTS:
        mend = "is damaged or no safetensors file; delete it, then train or import it again"
    elif path.suffix in (".pt", ".pth", ".bin"):
        mend = f"is no checkpoint of restool; {_TAKEN}"
    else:
        mend = "is damaged or no safetensors file; copy, train or import it again"
    return MissingDataError(f"{path.name} {mend}")


def _parse(path: Path, header: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    if header["format"] != CHECKPOINT_FORMAT:
        raise UsageError(
            f"{path.name} has format {header['format']}, this restool reads {CHECKPOINT_FORMAT}; train it again"
        )
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
    )


def load_model(path: str | Path, device: torch.device | str = "cpu") -> tuple[nn.Module, Checkpoint]:
    """The model of a checkpoint, in evaluation mode on a device.

    Raises:
        UsageError: the shapes do not fit the named model; and as `load_checkpoint`.
    """
    checkpoint = load_checkpoint(path)
    model = checkpoint.spec.blank()
    keep_sets(model, kept_sizes(checkpoint.model))
    try:
        model.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"{Path(path).name} does not fit {checkpoint.spec.name}: {reason}") from error
    return model.to(device).eval(), checkpoint
