"""What the commands that test a checkpoint share: from what was typed to a model and its images."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from restool.cli.images import Reading, Seen, seen
from restool.cli.panels import DatasetName, Device, DeviceChoice, Limit

if TYPE_CHECKING:
    import torch

    from restool.data import Dataset
    from restool.data.views import ViewChoices
    from restool.training import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Images(Reading, Seen):
    """The test images of a checkpoint, and where it is tested."""

    dataset: DatasetName = "gabors"
    limit: Limit = None
    device: Device = DeviceChoice.auto


class Opened(NamedTuple):
    """A trained model, what its file says of it, and the images to test it on."""

    model: "torch.nn.Module"
    stored: "Checkpoint"
    dataset: "Dataset"
    device: "torch.device"


def open_checkpoint(checkpoint: Path, images: Images) -> Opened:
    """Read a checkpoint and its test images, which are shown as in its training where nothing else is typed.

    Raises:
        UsageError: several ways to show images, or one where there is no choice; and those of the library.
    """
    from restool.data import load, require_limit, require_reading
    from restool.devices import choose_device
    from restool.training import load_model
    from restool.transfer.preparation import as_trained

    require_limit(images.limit)
    reading, typed = images.reading, seen(images, images.dataset)
    require_reading(reading["workers"], reading["cache"])
    device = choose_device(images.device.value)
    model, stored = load_model(checkpoint, device)
    views: ViewChoices = typed.pop("views")
    data = load(images.dataset, limit=images.limit, **typed, **reading)
    for note in data.notes:
        print(f"restool: {data.name}: {note}", file=sys.stderr)
    return Opened(model, stored, as_trained(data, stored.facts, views), device)
