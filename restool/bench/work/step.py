"""`restool bench step`: a training step of a model."""

import copy
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast, get_args

import torch
from torch import nn

from restool.aliasing import Target
from restool.arguments import MOST_IMAGES, Knob, check_knobs, require_choice
from restool.bench.harness.compare import Candidate, Case
from restool.bench.work.candidates import MaskWidth, built_in, choices, truth_of
from restool.bench.work.counts import training_costs
from restool.bench.work.growing import Growing
from restool.bench.work.memory import StepRequest, step_memory
from restool.bench.work.models import (
    CLASSES,
    make_model,
    most_taps,
    own_models,
    random_images,
    require_continuous,
    training_step,
)
from restool.bench.work.reference import Truth, joint_error


@dataclass(frozen=True, kw_only=True)
class StepBench(Growing):
    """Forward pass, cross entropy, backward pass and Adam on random images.

    Attributes:
        model: name, see `restool ls models`.
        sizes: pixels of the image side, which the model counts as those it was made for.
        widths: of every mask.
        batch: images a step.
        candidates: names, the baseline first.
        penalties: aliasing penalties; each gives a candidate `auto+NAME`, whose loss holds it.
        own: factories of the user's, called without arguments; they give models [B, 3, H, W] -> [B, 10].
        memory: also measure the peak memory of a step, each candidate in a process of its own.
        threads: of these processes; None for torch's own choice.

    Raises:
        UsageError: a model that is unknown or has no continuous 2D kernels, or a batch that batch norm cannot take.
    """

    kind: ClassVar[str] = "step"

    model: str = "flexnet-7"
    sizes: tuple[int, ...] = (16,)
    widths: tuple[MaskWidth, ...]
    batch: Annotated[int, Knob("Images a step.", "N", least=2, most=MOST_IMAGES, because="batch norm needs it")] = 64
    candidates: tuple[str, ...]
    penalties: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    memory: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        require_continuous(self.model)
        check_knobs(self)
        for target in self.penalties:
            require_choice("penalties", target, get_args(Target))

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        return {"model": self.model, "batch": self.batch}

    def case(self, size: int, width: MaskWidth, device: torch.device) -> Case:
        """The case of one size and width."""
        model = make_model(self.model, size, width).to(device)
        images = random_images(self.batch, size, device)

        def candidate(name: str, module: nn.Module, truth: Truth, target: Target | None = None) -> Candidate:
            untrained = copy.deepcopy(module)  # a step changes the running statistics of batch norms

            def extras() -> dict[str, Any]:
                chosen = choices(module, images) if name == "auto" else {}
                return chosen | ({} if target else self._memory(name, size, width, device))

            # a user's module meets images as PyTorch's loader lays them out
            step = training_step(module, images.contiguous() if truth.own else images, target)
            return Candidate(name=name, call=step, check=lambda: truth.check(untrained), extras=extras)

        truth = Truth(truth_of(model), images, (CLASSES,), joint_error)
        candidates = [candidate(name, built_in(model, name), truth) for name in self.candidates]
        for target in self.penalties:
            candidates.append(candidate(f"auto+{target}", built_in(model, "auto"), truth, cast(Target, target)))
        for name, module, exact in own_models(self.own, device):
            candidates.append(candidate(name, module, Truth(exact, images, (CLASSES,), joint_error, own=True)))
        return Case(
            place={"size": size, "sigma": width.name, "taps": most_taps(model, size)},
            candidates=candidates,
            pieces=training_costs(model, images),
            images=self.batch,
        )

    def _memory(self, name: str, size: int, width: MaskWidth, device: torch.device) -> dict[str, int]:
        if not self.memory:
            return {}
        request = StepRequest(
            candidate=name,
            model=self.model,
            size=size,
            sigma=width.name,
            batch=self.batch,
            device=str(device),
            threads=self.threads,
        )
        return step_memory(request)
