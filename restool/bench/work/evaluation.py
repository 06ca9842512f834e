"""`restool bench eval`: a trained model on one batch of images after another."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import nn

from restool.arguments import LARGEST_SIZE, MOST_IMAGES, SMALLEST_SIZE, Knob, check_knobs
from restool.bench.harness.compare import Candidate, Case
from restool.bench.work.candidates import BASELINES, SYSTEM, MaskWidth, convolve, truth_of, with_dense
from restool.bench.work.counts import evaluation_costs
from restool.bench.work.models import CLASSES, make_model, most_taps, own_models, random_inputs, require_images
from restool.bench.work.reference import Truth
from restool.correlation import RATES
from restool.transfer import resolve_protocol


@dataclass(frozen=True, kw_only=True)
class EvalBench:
    """Logits of random images at sizes the model was not trained at, as a sweep computes them.

    Candidates: `conv2d` convolves directly and samples every kernel for every batch; `conv2d-cached` samples once;
    `restool` is the model moved by `requery`.

    Attributes:
        model: name, see `restool ls models`.
        source: pixels it counts as those it was trained at.
        sizes: pixels of the image side.
        widths: of every mask.
        batch: images a call.
        own: factories of the user's, called without arguments; they give models [B, 3, H, W] -> [B, 10].

    Raises:
        UsageError: a model that is unknown or has no continuous 2D kernels, or an empty batch.
    """

    kind: ClassVar[str] = "eval"

    model: str = "flexnet-7"
    source: Annotated[int, Knob("Pixels in training.", "N", least=SMALLEST_SIZE, most=LARGEST_SIZE)] = 16
    sizes: tuple[int, ...] = (32,)
    widths: tuple[MaskWidth, ...]
    batch: Annotated[int, Knob("Images a call.", "N", least=1, most=MOST_IMAGES)] = 100
    own: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_images(self.model)
        check_knobs(self)

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        return {"model": self.model, "source": self.source, "batch": self.batch}

    def __len__(self) -> int:
        """Cases."""
        return len(self.sizes) * len(self.widths)

    def cases(self, device: torch.device) -> Generator[Case]:
        """One per width and size, growing in size."""
        RATES.calibrate(device, torch.float32)
        for width in self.widths:
            model = make_model(self.model, self.source, width).to(device)
            for size in self.sizes:
                yield self._case(model, size, width, device)

    def _case(self, model: nn.Module, size: int, width: MaskWidth, device: torch.device) -> Case:
        images = random_inputs(self.model, self.batch, size, device)
        truth = Truth(truth_of(model), images, (CLASSES,))
        moved = resolve_protocol("requery").apply(model, self.source, size)
        modules = {
            BASELINES[2]: with_dense(model, convolve),
            f"{BASELINES[2]}-cached": with_dense(model, convolve, cached=True),
            SYSTEM: moved,
        }

        def candidate(name: str, module: nn.Module, truth: Truth) -> Candidate:
            module.eval()
            call = torch.no_grad()(lambda: module(images))
            return Candidate(name=name, call=call, check=lambda: truth.check(module))

        candidates = [candidate(name, module, truth) for name, module in modules.items()]
        for name, module, exact in own_models(self.own, device):
            candidates.append(candidate(name, module, Truth(exact, images, (CLASSES,), own=True)))
        return Case(
            place={"size": size, "sigma": width.name, "taps": most_taps(model, size)},
            candidates=candidates,
            pieces=evaluation_costs(model, images),
            images=self.batch,
        )
