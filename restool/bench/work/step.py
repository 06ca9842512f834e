"""`restool bench step`: a training step of a model, or of several one after another."""

import copy
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast, get_args

import torch
from torch import nn

from restool.aliasing import Target
from restool.arguments import MOST_IMAGES, Knob, check_knobs, require_choice
from restool.bench.harness.compare import Candidate, Case
from restool.bench.work.candidates import MaskWidth, built_in, built_in_names, choices, truth_of
from restool.bench.work.counts import training_costs
from restool.bench.work.growing import Growing, place_of
from restool.bench.work.memory import StepRequest, step_memory
from restool.bench.work.models import (
    CLASSES,
    axes_of,
    comparable,
    make_model,
    most_taps,
    own_models,
    random_inputs,
    training_step,
)
from restool.bench.work.plain import plain_name
from restool.bench.work.reference import CARRIED_LIMIT, Truth, joint_error
from restool.errors import ArgumentError

NO_KERNELS = "it has no continuous kernels"


@dataclass(frozen=True, kw_only=True)
class StepBench(Growing):
    """Forward pass, cross entropy, backward pass and Adam on random images or sequences.

    A model with continuous kernels is held against a plain convolution of them, a sequence system without any against
    its plain way (`restool.bench.work.plain`). The loss is the cross entropy alone: what r-LSTM adds in a training is
    left out on both sides.

    Attributes:
        model: name, see `restool ls models`.
        sizes: pixels of the image side, or steps, which the model counts as those it was made for.
        widths: of every mask; a model without continuous kernels is measured once.
        batch: images or sequences a step.
        candidates: methods for continuous kernels, beside the baseline.
        penalties: aliasing penalties; each gives a candidate `auto+NAME`, whose loss holds it.
        own: factories of the user's, called without arguments; they give models [B, 3, H, W] or [B, 1, T] -> [B, 10].
        memory: also measure the peak memory of a step, each candidate in a process of its own.
        threads: of these processes; None for torch's own choice.

    Raises:
        UsageError: a model that is unknown or has neither continuous kernels nor a plain way, penalties for one that
            has none of the first, or a batch that batch norm cannot take.
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
        model = comparable(self.model)
        check_knobs(self)
        for target in self.penalties:
            require_choice("penalties", target, get_args(Target))
        for width in self.widths:
            width.apply(model)
        if plain_name(model) is not None:
            self._require_no_kernels()

    def _require_no_kernels(self) -> None:
        """Raise UsageError where something is asked for that continuous kernels alone have."""
        if self.penalties:
            raise ArgumentError("penalties", f"must be left out for {self.model}", ",".join(self.penalties), NO_KERNELS)
        if len(self.widths) > 1:
            typed = ",".join(width.name for width in self.widths)
            raise ArgumentError("sigma", f"must be initial for {self.model}", typed, NO_KERNELS)

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        return {"model": self.model, "batch": self.batch}

    def case(self, size: int, width: MaskWidth, device: torch.device) -> Case:
        """The case of one size and width."""
        model = make_model(self.model, size, width).to(device)
        inputs = random_inputs(self.model, self.batch, size, device)

        def candidate(name: str, module: nn.Module, truth: Truth, target: Target | None = None) -> Candidate:
            untrained = copy.deepcopy(module)  # a step changes the running statistics of batch norms

            def extras() -> dict[str, Any]:
                chosen = choices(module, inputs) if name == "auto" else {}
                return chosen | ({} if target else self._memory(name, size, width, device))

            # a user's module meets images as PyTorch's loader lays them out
            step = training_step(module, inputs.contiguous() if truth.own else inputs, target)
            return Candidate(name=name, call=step, check=lambda: truth.check(untrained), extras=extras)

        limit = CARRIED_LIMIT if plain_name(model) == "loop" else None
        truth = Truth(truth_of(model), inputs, (CLASSES,), joint_error, limit=limit)
        names = built_in_names(self.model, model, self.candidates)
        candidates = [candidate(name, built_in(model, name), truth) for name in names]
        for target in self.penalties:
            candidates.append(candidate(f"auto+{target}", built_in(model, "auto"), truth, cast(Target, target)))
        for name, module, exact in own_models(self.own, device):
            candidates.append(candidate(name, module, Truth(exact, inputs, (CLASSES,), joint_error, own=True)))
        axes, continuous = axes_of(self.model), plain_name(model) is None
        kernels = {"sigma": width.name, "taps": most_taps(model, size)} if continuous else {}
        return Case(
            place={"model": self.model} | place_of(axes, size) | kernels,
            candidates=candidates,
            pieces=training_costs(model, inputs) if continuous else [],
            images=self.batch if axes == 2 else None,
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


@dataclass(frozen=True)
class StepBenches:
    """Several models, one after another.

    Attributes:
        benches: of one batch.
    """

    benches: Sequence[StepBench]

    kind: ClassVar[str] = "step"

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        return {"model": ", ".join(bench.model for bench in self.benches), "batch": self.benches[0].batch}

    def __len__(self) -> int:
        """Cases."""
        return sum(map(len, self.benches))

    def cases(self, device: torch.device) -> Generator[Case]:
        """Those of every model."""
        for bench in self.benches:
            yield from bench.cases(device)
