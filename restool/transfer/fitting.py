"""Whether a model from elsewhere takes the images of a study: tried on blank images before anything is trained."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import nn

from restool.data import Dataset
from restool.data.batches import normalise
from restool.errors import UsageError
from restool.interop.weights import put_weights, read_weights
from restool.models import ModelSpec, find_model
from restool.models.external import ExternalModel, in_one_line, require_failure
from restool.models.pretrained import preprocessing_of
from restool.training.checkpoints import packed
from restool.transfer.config import StudyConfig
from restool.transfer.dims import require_resampled
from restool.transfer.protocols import FINETUNE, require_calibration, resolve_protocol, starting_protocol
from restool.transfer.tuning import freeze_all_but

_UNTRAINED = "test it as it is, with `epochs` and `finetune_epochs` 0"


def require_fitting(config: StudyConfig, dataset: Dataset) -> None:
    """Try every size of a study: the model where it is trained, and moved as fine-tuning starts where it is tested.

    Models of restool take every size and are not tried; weights are given to every model. A study that trains needs
    training images. Of many sources and targets not all pairs are tried, see `tried`.

    Raises:
        MissingDataError: the file of weights is missing or damaged.
        UsageError: the weights do not fit, the model fails, it gives no logits for the classes of the data set, or
            there is no image to train on.
    """
    if config.source_epochs or config.finetune_epochs:
        dataset.require_images("train")
    for size in {size for train in config.train for size in ((train,) if isinstance(train, int) else train)}:
        require_resampled(dataset, size)
    for size in config.test:
        require_resampled(dataset, size)
    require_calibration(config.zero_shot, dataset)
    _require_trained_head(config, dataset)
    weights = None if config.weights is None else read_weights(Path(config.weights))
    if weights is None and not is_external(config.model):
        return
    for source in config.sources:
        spec = ModelSpec(config.model, len(dataset.class_names), dataset.channels, source)
        if weights is not None:
            put_weights(weights, spec.blank(), spec, new_head=config.new_head)
        if is_external(config.model):
            _try(spec, tried(source, config.sources, config.test), config, dataset)


def tried(source: int, sources: Sequence[int], targets: Sequence[int]) -> list[int]:
    """The targets at which the model of a source is tried: all for the first and last source by size, else two.

    What a model refuses is a source, a target, or a target that is another size or too far from the source. So each
    target is tried from both ends of the sources, and each source with both ends of the targets: 2 (S + T) pairs at
    most instead of S T. A model that fails between all of these fails as a cell.
    """
    ends = {min(targets), max(targets)}
    return [target for target in targets if target in ends or source in (min(sources), max(sources))]


def _try(spec: ModelSpec, targets: Sequence[int], config: StudyConfig, dataset: Dataset) -> None:
    """Try a model from elsewhere, untrained, built for one of the sources of a study: there and at some targets."""
    source, dims = spec.reference_size, dataset.dims
    shown = not all(resolve_protocol(name).shrinks for name in config.zero_shot)
    last = 1 if dataset.counts["train"] % config.recipe.batch_size == 1 else 2  # batch norm may reject a batch of one
    model = spec.build().eval()
    _require_done(spec, _storing(model, spec))
    if config.source_epochs:
        require_trainable(spec.blank(), spec, source, dims=dims, images=last)
    require_logits(model, spec, source, dims=dims)
    for target in targets:
        if shown:
            require_logits(starting_protocol(model).apply(model, source, target), spec, target, dims=dims)
        for tune in config.tune if config.finetune_epochs else ():
            moved = FINETUNE.start(model, source, target)
            freeze_all_but(tune, moved, spec)
            require_trainable(moved, spec, target, dims=dims, images=last)


def _require_trained_head(config: StudyConfig, dataset: Dataset) -> None:
    """Raise UsageError for a library's trained model whose head is drawn for other classes and never trained."""
    trained = preprocessing_of(config.model) if config.comes_trained and config.weights is None else None
    classes = len(dataset.class_names)
    if trained is not None and trained.classes != classes and not config.trains_head:
        raise UsageError(
            f"{config.model} is trained for {trained.classes:,} classes and {dataset.name} has {classes:,}, so its "
            "head is new; train it for `epochs` of at least 1, or give `weights`"
        )


def require_size(
    model: nn.Module, spec: ModelSpec, size: int, *, dims: int, device: torch.device | str = "cpu"
) -> None:
    """Raise UsageError if a model from elsewhere cannot be tested at a size as fine-tuning starts."""
    if is_external(spec.name):
        moved = starting_protocol(model).apply(model, spec.reference_size, size)
        require_logits(moved, spec, size, dims=dims, device=device)


def require_trainable(model: nn.Module, spec: ModelSpec, size: int, *, dims: int = 2, images: int = 2) -> None:
    """Raise UsageError unless a model takes a training step, which is done, and is copied, saved and loaded after it.

    Arguments as in `require_logits`.
    """
    model.train()
    logits = _logits(model, spec, size, dims=dims, images=images, device="cpu")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(f"{spec.name} cannot be trained, as all of its parameters are frozen; {_UNTRAINED}")
    learn = F.cross_entropy(logits.float(), torch.zeros(images, dtype=torch.long)).backward
    steps = {"learn": learn, "be copied": lambda: copy.deepcopy(model), **_storing(model, spec)}
    _require_done(spec, steps, " after a step of training", f", or {_UNTRAINED}")


def _storing(model: nn.Module, spec: ModelSpec) -> dict[str, Callable[[], object]]:
    """What a checkpoint of a model needs, by what the model does."""
    return {
        "be saved": lambda: packed(model.state_dict()),
        "be loaded": lambda: spec.blank().load_state_dict(load(packed(model.state_dict()))),
    }


def _require_done(spec: ModelSpec, steps: Mapping[str, Callable[[], object]], when: str = "", mend: str = "") -> None:
    """Do steps, and raise UsageError for the first one that fails."""
    for step, do in steps.items():
        try:
            do()
        except BaseException as error:
            require_failure(error)
            reason = in_one_line(error)
            raise UsageError(f"{spec.name} cannot {step}{when}: {reason}; change its code{mend}") from error


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
    _logits(model, spec, size, dims=dims, images=images, device=device)


def _logits(
    model: nn.Module, spec: ModelSpec, size: int, *, dims: int, images: int, device: torch.device | str
) -> torch.Tensor:
    task = "be trained on" if model.training else "take"
    noun, unit = ("image", "px") if dims == 2 else ("sequence", "steps")
    batch = f"{images} {noun}{'' if images == 1 else 's'} of {size} {unit}"
    mend = "choose another `limit` or `batch_size`" if images == 1 else "choose other sizes, or `protocols` resize"
    blank = torch.zeros(images, spec.channels, *[size] * dims, device=device, dtype=torch.uint8)
    try:
        logits = model(normalise(blank, [0.0] * spec.channels, [1.0] * spec.channels))
    except BaseException as error:
        require_failure(error)
        raise UsageError(f"{spec.name} cannot {task} {batch}: {in_one_line(error)}; {mend}") from error
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [images, spec.classes]:
        raise UsageError(
            f"{spec.name} must give [{images}, {spec.classes}] logits for {batch}, but gave {found}; "
            "choose another `model` or `dataset`"
        )
    return logits


def is_external(name: str) -> bool:
    """Whether a model of a name is of another library or of the user."""
    return isinstance(find_model(name).build, ExternalModel)
