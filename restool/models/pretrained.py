"""What libraries say of their trained models: how images are prepared for them, and their weights."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from torch import nn

from restool.errors import UsageError
from restool.models.names import library_name


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a library prepares images for a model's trained weights, and what the weights are for.

    Attributes:
        mean: per channel, of values in [0, 1].
        std: likewise.
        interpolation: "bilinear", "bicubic", ... of the resize.
        crop_ratio: side of the centre crop per shorter side of the resized image.
        native_size: pixels of the image side.
        classes: logits.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_ratio: float
    native_size: int
    classes: int


def preprocessing_of(name: str) -> Preprocessing | None:
    """That of the weights that a library's model is named with, or else of those that it has by default.

    None for other models, and where the library says nothing.
    """
    found = library_name(name)
    if found is None:
        return None
    of_library = {"torchvision": _of_torchvision, "timm": _of_timm}[found.library]
    return of_library(found.model, found.options)


def _of_torchvision(model: str, options: dict[str, Any]) -> Preprocessing | None:
    weights = torchvision_weights(model, options.get("weights") or "DEFAULT")
    shown = weights.transforms()
    (size,), (resized,) = shown.crop_size, shown.resize_size
    return Preprocessing(
        mean=tuple(shown.mean),
        std=tuple(shown.std),
        interpolation=shown.interpolation.value,
        crop_ratio=size / resized,
        native_size=size,
        classes=len(weights.meta["categories"]),
    )


def _of_timm(model: str, options: dict[str, Any]) -> Preprocessing | None:
    import timm

    config = timm.get_pretrained_cfg(model, allow_unregistered=True)
    if config is None:
        return None
    told = config.to_dict() | options.get("pretrained_cfg_overlay", {})
    return Preprocessing(
        mean=tuple(told["mean"]),
        std=tuple(told["std"]),
        interpolation=told["interpolation"],
        crop_ratio=told["crop_pct"],
        native_size=told["input_size"][-1],
        classes=told["num_classes"],
    )


def torchvision_weights(model: str, name: str) -> Any:
    """The weights of a name that torchvision has for a model; UsageError tells those there are."""
    from torchvision import models

    known = models.get_model_weights(model)
    if name not in known.__members__:
        raise UsageError(f"torchvision:{model} has weights {', '.join(sorted(known.__members__))}, but not {name}")
    return known[name]


def put_torchvision_weights(model: nn.Module, name: str, weights: Any) -> None:
    """Give a model of torchvision trained weights, all but a head of another number of classes.

    Raises:
        ValueError: a tensor has another shape, as those of other channels have.
    """
    from torchvision import models
    from torchvision.models.vision_transformer import interpolate_embeddings

    trained = models.get_model(name, weights=weights, progress=False).state_dict()
    if isinstance(model, models.VisionTransformer):
        trained = interpolate_embeddings(model.image_size, model.patch_size, OrderedDict(trained))
    own, classes = model.state_dict(), len(weights.meta["categories"])
    theirs = {key: trained[key] for key in own}  # those of auxiliary heads stay behind
    for key in [key for key, value in theirs.items() if value.shape != own[key].shape]:
        if len(theirs[key]) != classes:
            raise ValueError(f"{key} is trained for other channels or by other options")
        del theirs[key]
    model.load_state_dict({**own, **theirs})
