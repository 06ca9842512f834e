"""Whether a model from elsewhere takes the images of a study: tried on blank images before anything is trained."""

import torch
from torch import nn

from restool.data import Dataset
from restool.errors import UsageError
from restool.models import ModelSpec, find_model
from restool.models.external import ExternalModel, in_one_line
from restool.transfer.config import StudyConfig
from restool.transfer.dims import require_resampled
from restool.transfer.protocols import resolve_protocol, starting_protocol


def require_fitting(config: StudyConfig, dataset: Dataset) -> None:
    """Try every size of a study: the model where it is trained, and moved as fine-tuning starts where it is tested.

    Models of restool take every size and are not tried. A study that trains needs training images.

    Raises:
        UsageError: the model fails, or gives no logits for the classes of the data set, or no image is trained on.
    """
    if config.source_epochs or config.finetune_epochs:
        dataset.require_images("train")
    for size in {size for train in config.train for size in ((train,) if isinstance(train, int) else train)}:
        require_resampled(dataset, size)
    for size in config.test:
        require_resampled(dataset, size)
    if not _is_external(config.model):
        return
    shown = not all(resolve_protocol(name).shrinks for name in config.zero_shot)
    last = 1 if dataset.counts["train"] % config.recipe.batch_size == 1 else 2  # batch norm may reject a batch of one
    for source in config.sources:
        spec = ModelSpec(config.model, len(dataset.class_names), dataset.channels, source)
        model = spec.build()
        require_logits(model.train(), spec, source, dims=dataset.dims, images=last)
        for target in config.test:
            moved = starting_protocol(model).apply(model, source, target)
            if shown:
                require_logits(moved, spec, target, dims=dataset.dims)
            if config.finetune_epochs:
                require_logits(moved.train(), spec, target, dims=dataset.dims, images=last)


def require_size(
    model: nn.Module, spec: ModelSpec, size: int, *, dims: int, device: torch.device | str = "cpu"
) -> None:
    """Raise UsageError if a model from elsewhere cannot be tested at a size as fine-tuning starts."""
    if _is_external(spec.name):
        moved = starting_protocol(model).apply(model, spec.reference_size, size)
        require_logits(moved, spec, size, dims=dims, device=device)


@torch.no_grad()
def require_logits(
    model: nn.Module,
    spec: ModelSpec,
    size: int,
    *,
    dims: int = 2,
    images: int = 2,
    device: torch.device | str = "cpu",
) -> None:
    """Raise UsageError unless a model gives [images, classes] logits for blank images of a size.

    Args:
        model: of `spec`, in training or evaluation mode, on `device`.
        spec: channels, classes and the name in messages.
        size: pixels along both axes, or steps.
        dims: 2 for images, 1 for sequences.
        images: in the batch.
        device: to compute on.
    """
    task = "be trained on" if model.training else "take"
    noun, unit = ("image", "px") if dims == 2 else ("sequence", "steps")
    batch = f"{images} {noun}{'' if images == 1 else 's'} of {size} {unit}"
    mend = "choose another `limit` or `batch_size`" if images == 1 else "choose other sizes, or `protocols` resize"
    try:
        logits = model(torch.zeros(images, spec.channels, *[size] * dims, device=device))
    except Exception as error:
        raise UsageError(f"{spec.name} cannot {task} {batch}: {in_one_line(error)}; {mend}") from error
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [images, spec.classes]:
        raise UsageError(
            f"{spec.name} must give [{images}, {spec.classes}] logits for {batch}, but gave {found}; "
            "choose another `model` or `dataset`"
        )


def _is_external(name: str) -> bool:
    return isinstance(find_model(name).build, ExternalModel)
