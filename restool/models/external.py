"""Models of other libraries and of the user, by name.

    torchvision:NAME[?KEY=VALUE,...]   an image classifier of torchvision
    timm:NAME[?KEY=VALUE,...]          a model of timm (PyTorch Image Models), which is an optional dependency
    MODULE:FACTORY                     a function or class of the user's own

What follows `?` goes to the library's constructor: Python literals, a bare word is a string. Weights are untrained,
unless timm is asked for others by `?pretrained=True`, or torchvision by `?weights=DEFAULT`. Vision transformers
resample their position embeddings to the grid of every image that they get; the stored embeddings stay those of the
training size. GoogLeNet and Inception are built without auxiliary heads, which serve training alone.

A factory gets classes, channels and the training size by those of their names that it accepts (`ARGUMENTS`), and no
others: its name is stored in checkpoints, and a foreign checkpoint must not choose what a function is called with.
"""

import contextlib
import hashlib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from restool.arguments import nearest
from restool.errors import UsageError
from restool.models.names import INCEPTIONS, is_code, library_name
from restool.models.outputs import give_logits, take_contiguous
from restool.models.pretrained import put_torchvision_weights, torchvision_weights

Maker = Callable[[int, int, int], Any]
"""(classes, channels, reference_size) -> what the library or the factory gives."""

ARGUMENTS = (
    ("classes", "num_classes", "n_classes"),
    ("channels", "in_channels", "in_chans"),
    ("reference_size", "img_size", "image_size"),
)
"""What a factory may call each of the three."""


@dataclass(frozen=True, kw_only=True)
class ExternalModel:
    """Builds a model: (classes, channels, reference_size) -> module; equal names are equal builders.

    Attributes:
        name: as typed.
        source: the library, or the user's module.
        make: does it, and may raise anything.
    """

    name: str
    source: str
    make: Maker = field(compare=False)

    def __call__(self, classes: int, channels: int, reference_size: int) -> nn.Module:
        """A freshly initialised model; UsageError says why there is none."""
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
                model = self.make(classes, channels, reference_size)
        except BaseException as error:
            require_failure(error)
            raise UsageError(
                f"{self.source} cannot build {self.name} for {classes} classes, {channels} channels and "
                f"{reference_size} px: {in_one_line(error)}; choose another `model` or `train`"
            ) from error
        if not isinstance(model, nn.Module):
            raise UsageError(f"{self.name} must give a torch.nn.Module, but gave a {type(model).__name__}")
        if any(is_lazy(value) for value in model.state_dict().values()):
            raise UsageError(f"{self.name} has lazy layers without a shape; call it on one image where it is built")
        if self.source not in _LIBRARIES:
            take_contiguous(model)
        give_logits(model)
        return model


def find_external(name: str) -> ExternalModel | None:
    """The builder of a name with a colon, None for a name without.

    Raises:
        UsageError: there is no such library, model, module or factory, or its options cannot be read.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        return None
    found = library_name(name)
    if found is None:
        return ExternalModel(name=name, source=module, make=_factory(module, attribute))
    return ExternalModel(name=name, source=found.library, make=_LIBRARIES[found.library](found.model, found.options))


def source_hash(name: str) -> str | None:
    """First 16 hex digits of the SHA-256 of the source of the module that a user's factory is imported from.

    None for any other name, and for a module without a source. What the module imports in turn is not part of it.
    """
    if not is_code(name):
        return None
    find_external(name)
    try:
        source = inspect.getsource(sys.modules[name.partition(":")[0]])
    except (OSError, TypeError):
        return None
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def require_failure(error: BaseException) -> None:
    """Raise an error again that is none of other people's code, whose `exit()` is one: an interruption by the user."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error


def in_one_line(error: BaseException) -> str:
    """An exception of other people's code: its type and its text without line breaks and full stop."""
    return ": ".join(filter(None, [type(error).__name__, " ".join(str(error).split()).rstrip(".")]))


def _torchvision(model: str, options: dict[str, Any]) -> Maker:
    from torchvision import models

    _require_known("torchvision", model, models.list_models(module=models))
    _reject_reserved(options, "num_classes", "image_size")
    named = options.pop("weights", None)
    weights = torchvision_weights(model, named) if named else None
    if model in INCEPTIONS:  # torchvision warns where `init_weights` is not said
        options = {"aux_logits": False, "init_weights": True, "transform_input": weights is not None, **options}

    def make(classes: int, channels: int, reference_size: int) -> nn.Module:
        size = {"image_size": reference_size} if model.startswith("vit_") else {}
        built = models.get_model(model, weights=None, num_classes=classes, **size, **options)
        if channels != 3:
            _replace_first_convolution(built, channels)
        if weights is not None:
            put_torchvision_weights(built, model, weights)
        if not isinstance(built, models.VisionTransformer):
            return built
        from restool.models.positions import ResampledPositions

        return ResampledPositions(built)

    return make


def _replace_first_convolution(model: nn.Module, channels: int) -> None:
    """A fresh convolution from `channels`, in PyTorch's default draw, where torchvision has one from 3."""
    name, first = next((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
    shape: dict[str, Any] = {key: getattr(first, key) for key in ("kernel_size", "stride", "padding")}
    model.set_submodule(name, nn.Conv2d(channels, first.out_channels, bias=first.bias is not None, **shape))


def _timm(model: str, options: dict[str, Any]) -> Maker:
    try:
        import timm
    except ImportError as error:
        raise UsageError(f"timm:{model} needs timm, which is not installed; pip install 'restool[timm]'") from error
    if not timm.is_model(model):
        _require_known("timm", model, timm.list_models())
    _reject_reserved(options, "num_classes", "in_chans", "img_size", "dynamic_img_size", "checkpoint_path", "cache_dir")
    config = timm.get_pretrained_cfg(model, allow_unregistered=True)

    def make(classes: int, channels: int, reference_size: int) -> nn.Module:
        shape: dict[str, Any] = {"num_classes": classes, "in_chans": channels, **options}
        if config is None or not config.fixed_input_size:
            return timm.create_model(model, **shape)
        shape["img_size"] = reference_size
        try:
            return timm.create_model(model, dynamic_img_size=True, **shape)
        except TypeError as error:
            if "dynamic_img_size" not in str(error):
                raise
        return timm.create_model(model, **shape)  # it cannot resample its positions

    return make


_LIBRARIES: dict[str, Callable[[str, dict[str, Any]], Maker]] = {"torchvision": _torchvision, "timm": _timm}


def import_attribute(module: str, attribute: str) -> Any:
    """What a module holds under a name, also one in the working folder; raises what its import raises."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # unlike `python -m restool`, the command `restool` does not look there
    with contextlib.redirect_stdout(sys.stderr):
        return getattr(importlib.import_module(module), attribute)


def _factory(module: str, attribute: str) -> Maker:
    name = f"{module}:{attribute}"
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", name):
        raise UsageError(f"a model is named torchvision:NAME, timm:NAME or MODULE:FACTORY, but got {name!r}")
    try:
        factory = import_attribute(module, attribute)
        accepted = inspect.signature(factory).parameters.values()
    except BaseException as error:
        require_failure(error)
        raise UsageError(
            f"cannot use {name}: {in_one_line(error)}; `from {module} import {attribute}` must work in this folder"
        ) from error
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted)
    taken = {parameter.name for parameter in accepted}

    def make(*shape: int) -> Any:
        given: dict[str, int] = {}
        for names, value in zip(ARGUMENTS, shape, strict=True):
            called = taken.intersection(names) or (names[:1] if takes_all else ())
            given |= dict.fromkeys(called, value)
        return factory(**given)

    return make


def _require_known(library: str, model: str, known: Sequence[str]) -> None:
    if model not in known:
        raise UsageError(f"{library} has no image classifier {model!r}; the nearest is {nearest(model, known)!r}")


def _reject_reserved(options: dict[str, Any], *reserved: str) -> None:
    for key in options.keys() & reserved:
        raise UsageError(f"{key} must not follow ?, as restool decides it; leave it out")
