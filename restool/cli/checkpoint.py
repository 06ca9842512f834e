"""What the commands that test a checkpoint share: from what was typed to a model and its images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from restool.cli.panels import DataDir, DatasetName, Device, DeviceChoice, Download, Limit, ResampleName

if TYPE_CHECKING:
    import torch

    from restool.data import Dataset
    from restool.training import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Images:
    """The test images of a checkpoint, and where it is tested."""

    dataset: DatasetName = "gabors"
    limit: Limit = None
    resample: ResampleName = "decimate"
    data_dir: DataDir = None
    download: Download = False
    device: Device = DeviceChoice.auto


class Opened(NamedTuple):
    """A trained model, what its file says of it, and the images to test it on."""

    model: "torch.nn.Module"
    stored: "Checkpoint"
    dataset: "Dataset"
    device: "torch.device"


def open_checkpoint(checkpoint: Path, images: Images) -> Opened:
    """Read a checkpoint and its test images; the errors are those of the library."""
    from restool.data import load, require_limit
    from restool.devices import choose_device
    from restool.training import load_model
    from restool.transfer.normalisation import as_trained

    require_limit(images.limit)
    device = choose_device(images.device.value)
    model, stored = load_model(checkpoint, device)
    place: dict[str, Any] = {"data_dir": images.data_dir, "download": images.download}
    data = load(images.dataset, limit=images.limit, resample=images.resample, **place)  # type: ignore[arg-type]
    return Opened(model, stored, as_trained(data, stored.facts), device)
