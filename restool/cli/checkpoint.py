"""What the commands that test a checkpoint share: from what was typed to a model and its images."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from restool.cli.images import Reading, Seen, seen
from restool.cli.option import option
from restool.cli.panels import Device, Limit, OwnDataset
from restool.errors import UsageError

if TYPE_CHECKING:
    import torch

    from restool.data import Dataset
    from restool.data.views import ViewChoices
    from restool.training import Checkpoint


OwnModel = Annotated[
    str | None,
    option(
        "What to measure",
        "--model",
        "MODULE:FACTORY of a checkpoint whose model is yours: its code runs only if you name it.",
        "NAME",
        show_default="that of the checkpoint",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Images(Reading, Seen):
    """A checkpoint's own model and its test images, and where it is tested."""

    model: OwnModel = None
    dataset: OwnDataset = None
    limit: Limit = None
    device: Device = "auto"


class Opened(NamedTuple):
    """A trained model, what its file says of it, the name of a data set, and its images to test the model on."""

    model: "torch.nn.Module"
    stored: "Checkpoint"
    name: str
    dataset: "Dataset"
    device: "torch.device"


def _dataset_of(checkpoint: Path, facts: Mapping[str, Any]) -> str:
    """The data set of a checkpoint's training.

    Raises:
        UsageError: the training was on files, whose folder no checkpoint tells, or on nothing.
    """
    from restool.data import DATASETS

    own = facts.get("dataset")
    if own in DATASETS:
        return str(own)
    told = f"was trained on {own}, whose place it does not tell" if own else "does not tell its data set"
    raise UsageError(f"{checkpoint.name} {told}; name it as `dataset`")


def open_checkpoint(checkpoint: Path, images: Images) -> Opened:
    """Read a checkpoint and its test images, which are shown as in its training where nothing else is typed.

    Raises:
        UsageError: several ways to show images, or one where there is no choice; and those of the library.
    """
    from restool.data import load, require_limit, require_reading
    from restool.devices import choose_device
    from restool.training import load_model
    from restool.transfer.preparation import as_trained, differences

    require_limit(images.limit)
    reading = images.reading
    require_reading(reading["decoders"], reading["cache"])
    device = choose_device(images.device)
    model, stored = load_model(checkpoint, device, model=images.model)
    dataset = images.dataset or _dataset_of(checkpoint, stored.facts)
    typed = seen(images, dataset)
    views: ViewChoices = typed.pop("views")
    data = load(dataset, limit=images.limit, **typed, **reading)
    for note in [*data.notes, *differences(data, stored.facts, stored.spec.name)]:
        print(f"restool: {data.name}: {note}", file=sys.stderr)
    return Opened(model, stored, dataset, as_trained(data, stored.facts, views), device)
