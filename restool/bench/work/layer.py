"""`restool bench layer`: one continuous convolution."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from restool.arguments import MOST_IMAGES, Knob, check_knobs, require_value
from restool.bench.harness.compare import Candidate, Case
from restool.bench.work.candidates import (
    BASELINES,
    MaskWidth,
    built_in,
    choices,
    load_factory,
    sample_alone,
    truth_of,
)
from restool.bench.work.counts import layer_costs
from restool.bench.work.growing import Growing, place_of
from restool.bench.work.reference import Errors, Truth, joint_error, largest_error
from restool.models.layers import LAYER_KINDS
from restool.nn import ContinuousConv

CHANNELS = Knob("In, or out.", "N", least=1, most=65_536)


@dataclass(frozen=True, kw_only=True)
class LayerBench(Growing):
    """A masked MAGNet layer on random images or sequences.

    Attributes:
        dims: axes of the input: 2 for images, 1 for sequences, where kernels are causal.
        sizes: pixels of the image side, or steps.
        widths: of the mask.
        batch: images a call.
        channels: in and out.
        backward: also the gradients with respect to images and parameters.
        candidates: methods, beside the baseline.
        own: factories of the user's, called with the channels; they give modules [B, I, *size] -> [B, O, *size].

    Raises:
        UsageError: a number out of range.
    """

    kind: ClassVar[str] = "layer"

    dims: Annotated[int, Knob("2 for images, 1 for sequences.", "N", least=1, most=2)] = 2
    sizes: tuple[int, ...] = (32,)
    widths: tuple[MaskWidth, ...]
    batch: Annotated[int, Knob("Images a call.", "N", least=1, most=MOST_IMAGES)] = 64
    channels: tuple[int, int] = (24, 24)
    backward: bool = True
    candidates: tuple[str, ...]
    own: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_knobs(self)
        for count in self.channels:
            require_value("channels", count, int, CHANNELS)

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        inputs, outputs = self.channels
        channels = {"in_channels": inputs, "out_channels": outputs}
        return {"batch": self.batch, "dims": self.dims, **channels, "backward": self.backward}

    def case(self, size: int, width: MaskWidth, device: torch.device) -> Case:
        """The case of one size and width."""
        torch.manual_seed(0)
        layer = _layer(self.dims, self.channels, size).to(device)
        width.apply(layer)
        shape = (size,) * self.dims
        images = torch.randn(self.batch, self.channels[0], *shape).to(device)
        # the gradient of a causal mask's width is one number: most of what it sums over all taps cancels
        compared = largest_error if self.dims == 2 else joint_error
        truth = self._truth(truth_of(layer), images, compared)
        names = [BASELINES[self.dims], *self.candidates]
        candidates = [self._candidate(name, built_in(layer, name), truth) for name in names]
        for name in self.own:
            module = load_factory(name)(*self.channels).to(device)
            truth = self._truth(copy.deepcopy(module).double(), images, joint_error, own=True)
            candidates.append(self._candidate(name, module, truth))
        place = place_of(self.dims, size) | {"sigma": width.name, "taps": sample_alone(layer, shape).shape[-1]}
        costs = layer_costs(layer, self.batch, shape, training=self.backward)
        return Case(place=place, candidates=candidates, pieces=[costs])

    def _truth(self, module: nn.Module, images: Tensor, compared: Errors, *, own: bool = False) -> Truth:
        shape = (self.channels[1], *images.shape[2:])
        return Truth(module, images, shape, compared if self.backward else None, own)

    def _candidate(self, name: str, module: nn.Module, truth: Truth) -> Candidate:
        work = backward_pass(module, truth.images) if self.backward else torch.no_grad()(lambda: module(truth.images))

        def extras() -> dict[str, Any]:
            with torch.set_grad_enabled(self.backward):
                return choices(module, truth.images) if name == "auto" else {}

        return Candidate(name=name, call=work, check=lambda: truth.check(module), extras=extras)


def backward_pass(module: nn.Module, images: Tensor) -> Callable[[], object]:
    """A call and its gradients with respect to images and parameters, with the output as its upstream gradient."""
    leaf = images.clone().requires_grad_()
    leaves = [leaf, *(parameter for parameter in module.parameters() if parameter.requires_grad)]

    def work() -> None:
        output = module(leaf)
        torch.autograd.grad(output, leaves, output.detach(), allow_unused=True)

    return work


def _layer(dims: int, channels: tuple[int, int], size: int) -> ContinuousConv:
    layer = LAYER_KINDS["magnet"].factory(dims, size)(*channels)
    assert isinstance(layer, ContinuousConv)
    nn.init.normal_(layer.bias)  # a bias of 0 would hide a candidate that forgets it
    return layer
