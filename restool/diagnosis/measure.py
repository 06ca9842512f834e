"""What a model loses from its source to a target, which cause took it, and where in the model the answers part."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restool import evidence
from restool.data import Batches, Dataset
from restool.diagnosis.causes import CAUSES, Cause, left_out
from restool.diagnosis.layers import LayerFigures, NormFigures, compare_layers
from restool.evidence import SIGNIFICANT, Estimate
from restool.models import ModelSpec
from restool.report.groups import noun_of
from restool.transfer.cache import KernelCache
from restool.transfer.evaluate import EVALUATION_BATCH, correct_by, paired_difference, require_testable
from restool.transfer.protocols import SOURCE, Protocol, resolve_protocol, starting_protocol


@dataclass(frozen=True)
class Repair:
    """What the repair of one cause gives back.

    Attributes:
        cause: that was repaired.
        accuracy: at the target with the repair, a fraction.
        gain: against no repair, paired by image.
        is_real: whether the gain is significant after Holm's correction for all causes.
    """

    cause: Cause
    accuracy: float
    gain: Estimate
    is_real: bool


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; accuracies are fractions, of the same test images.

    Attributes:
        model, source, target, unit: what was asked of what, and what sizes count.
        protocol: what the model does by itself at the target.
        rendered: whether the data set's images are exact at every size.
        images: how many images or sequences were tested.
        at_source, at_target, resized: accuracies; the last of images that are shrunk to the source.
        loss: at the target minus at the source, paired by image.
        repairs: that apply, the one that gives back most first.
        layers, norms: figures of every layer and batch norm, in the model's order.
        left_out: what is not asked of a model of sequences, and why, in sentences.
    """

    model: str
    source: int
    target: int
    unit: str
    protocol: str
    rendered: bool
    images: int
    at_source: float
    at_target: float
    resized: float
    loss: Estimate
    repairs: list[Repair]
    layers: list[LayerFigures]
    norms: list[NormFigures]
    left_out: list[str]

    @property
    def noun(self) -> str:
        """What was tested: image or sequence."""
        return noun_of(self.unit)

    @property
    def breaks_at(self) -> LayerFigures | None:
        """The layer whose response differs most beyond what came in; None if there are no responses to compare."""
        compared = [layer for layer in self.layers if layer.growth is not None]
        return max(compared, key=lambda layer: layer.growth or 0.0, default=None)

    @property
    def verdict(self) -> str:
        """The loss and its causes in a few sentences."""
        moved = f"{self.model} by {self.protocol} from {self.source} to {self.target} {self.unit}"
        told = f"{moved}: {_points(self.loss)} points, {self.images:,} test {self.noun}s."
        lost = self.loss.p < SIGNIFICANT and self.loss.mean <= 0
        why = self._explanation() if lost else ["There is no loss to explain."]
        return " ".join([told, *why, *self.left_out])

    def _explanation(self) -> list[str]:
        """What took the loss, in sentences."""
        sentences = []
        found = [repair for repair in self.repairs if repair.is_real and repair.gain.mean > 0]
        for place, repair in enumerate(found):
            first = "The first cause is" if place == 0 else "Then"
            cause = repair.cause
            sentences.append(f"{first} {cause.name}: {_points(repair.gain)} points where {cause.told(self.noun)}.")
        if len(found) > 1:
            sentences.append("What two repairs give back overlaps.")
        if not found:
            sentences.append("No single repair gives back more than chance would.")
        worse = [repair.cause.name for repair in self.repairs if repair.is_real and repair.gain.mean < 0]
        sentences += [f"Worse with its repair: {', '.join(worse)}."] if worse else []
        if (layer := self.breaks_at) is not None:
            sentences.append(f"The responses part at {layer.layer}.")
        if self.rendered:
            sentences.append(f"The {self.noun}s are exact at both sizes, so all of it is the model's error.")
        return sentences


@torch.no_grad()
def diagnose(
    model: nn.Module,
    spec: ModelSpec,
    dataset: Dataset,
    target: int,
    *,
    device: torch.device,
    step: Callable[[], None] = lambda: None,
) -> Diagnosis:
    """Measure a loss, what the repair of each cause gives back, and how far every response is from that at the source.

    Args:
        model: trained at `spec.reference_size`, on `device`.
        spec: of the model.
        dataset: with the model's channels and classes.
        target: size in pixels or steps.
        device: to compute on.
        step: called `steps(model, spec, target)` times.

    Raises:
        UsageError: the model, the images or a size do not fit.
    """
    require_testable(spec, dataset, [target])
    source, kernels = spec.reference_size, KernelCache()

    def correct(protocol: Protocol, size: int = target) -> Tensor:
        found = correct_by(protocol, model, spec, dataset, size, device=device, kernels=kernels)
        step()
        return found

    start = starting_protocol(model)
    own, moved, resized = correct(SOURCE, source), correct(start), correct(resolve_protocol("resize"))
    repaired = [(cause, correct(cause.repaired(model))) for cause in causes_of(model, source, target)]
    pair = SOURCE.apply(model, source, source), start.apply(model, source, target, kernels=kernels)
    layers, norms = compare_layers(*pair, model, *(_first(dataset, size, device) for size in (source, target)))
    step()
    return Diagnosis(
        model=spec.name,
        source=source,
        target=target,
        unit=dataset.unit,
        protocol=start.name,
        rendered=dataset.rendered,
        images=len(own),
        at_source=_share(own),
        at_target=_share(moved),
        resized=_share(resized),
        loss=paired_difference(moved, own),
        repairs=_repairs(repaired, moved),
        layers=layers,
        norms=norms,
        left_out=left_out(model) if dataset.dims == 1 else [],
    )


def _repairs(repaired: list[tuple[Cause, Tensor]], moved: Tensor) -> list[Repair]:
    """What every repair gives back of what was lost without it, the one that gives most first."""
    gains = [paired_difference(correct, moved) for _, correct in repaired]
    adjusted = evidence.holm([gain.p for gain in gains])
    found = [
        Repair(cause, _share(correct), gain, bool(p < SIGNIFICANT))
        for (cause, correct), gain, p in zip(repaired, gains, adjusted, strict=True)
    ]
    return sorted(found, key=lambda repair: -repair.gain.mean)


def causes_of(model: nn.Module, source: int, target: int) -> list[Cause]:
    """The causes that a model may suffer from."""
    return [cause for cause in CAUSES if cause.applies(model, target / source)]


def steps(model: nn.Module, spec: ModelSpec, target: int) -> int:
    """How often `diagnose` calls its `step`."""
    return 4 + len(causes_of(model, spec.reference_size, target))


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:+.1f} ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"


def _share(correct: Tensor) -> float:
    return float(correct.double().mean())


def _first(dataset: Dataset, size: int, device: torch.device) -> Tensor:
    """The first test images at a size."""
    batches = Batches(dataset, "test", size, batch_size=EVALUATION_BATCH, device=device)
    return next(iter(batches.epoch()))[0]
