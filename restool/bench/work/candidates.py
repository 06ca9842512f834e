"""What is compared: restool's layers and systems, the plain way of doing the same, and the user's own modules."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from restool.arguments import nearest
from restool.bench.work.plain import Plain, plain_name
from restool.bench.work.reference import correlate_double
from restool.correlation import METHODS, choose_method
from restool.errors import ArgumentError, UsageError
from restool.kernels import GaussianMask
from restool.models.external import import_attribute, in_one_line
from restool.models.layers import MASK_SIGMA
from restool.modules import layers, with_layers
from restool.nn import ContinuousConv, use_method
from restool.nn.together import sample_together

BASELINES = {1: "conv1d", 2: "conv2d"}
"""What continuous layers are held against, by the axes of their input: a plain convolution of the sampled kernel."""
SYSTEM = "restool"
"""A system without continuous kernels, as it is."""
LARGEST_WIDTH = 1e30
"""A mask is no wider than this: it is flat long before, and float32 ends at 3e38."""

Convolution = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(signal, kernel, bias) -> output, `same` in 2D and causal in 1D."""


def parse_candidates(text: str | None) -> tuple[str, ...]:
    """Methods typed as a list, None for all; a baseline may be named and needs not, as it always takes part.

    Raises:
        UsageError: an unknown name.
    """
    known = [*BASELINES.values(), *METHODS]
    names = known if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            mend = f"the nearest is {nearest(name, known)!r}, and a module of your own is a `candidate`"
            raise ArgumentError("candidates", f"must be names out of {', '.join(known)}", name, mend)
    return tuple(name for name in dict.fromkeys(names) if name in METHODS)


def load_factory(name: str) -> Callable[..., nn.Module]:
    """The factory of a name `package.module:factory`; modules in the working folder are found too.

    Raises:
        UsageError: there is no such factory, or what it gives is no module.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ArgumentError("candidate", "must be package.module:factory", name)
    try:
        factory = import_attribute(module_name, attribute)
    except Exception as error:
        raise UsageError(f"`candidate` {name} cannot be imported: {in_one_line(error)}") from error
    return partial(_make, name, factory)


def _make(name: str, factory: Callable[..., nn.Module], *arguments: int) -> nn.Module:
    try:
        module = factory(*arguments)
    except Exception as error:
        raise UsageError(f"`candidate` {name} cannot build a layer: {in_one_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"`candidate` {name} must give a torch.nn.Module, but gives {type(module).__name__}")
    return module


@dataclass(frozen=True)
class MaskWidth:
    """Width of every Gaussian mask.

    Attributes:
        name: as typed.
        sigma: standard deviation, in units.
        threshold: below which taps are cropped; 0 crops none.
    """

    name: str
    sigma: float
    threshold: float = 0.1

    def apply(self, model: nn.Module) -> None:
        """Give all masks of a model or layer this width; one without masks is as it is, initially and always.

        Raises:
            UsageError: a width in numbers, and no mask to take it.
        """
        masks = list(layers(model, GaussianMask))
        if not masks and self.name not in ("initial", "whole"):
            raise ArgumentError("sigma", "must be initial or whole where there is no mask", self.name)
        for mask in masks:
            mask.sigma.data.fill_(self.sigma)
            mask.threshold = self.threshold


def parse_widths(text: str) -> tuple[MaskWidth, ...]:
    """Mask widths typed as a list: `initial` (a new layer's), `whole` (no crop) or numbers, in the order typed.

    Under `whole` sigma is 1: with a narrow mask most taps would be denormal numbers, which slow a processor down.

    Raises:
        UsageError: something else.
    """
    named = {"initial": MaskWidth("initial", MASK_SIGMA), "whole": MaskWidth("whole", 1.0, 0.0)}
    widths = {}
    for part in (part.strip() for part in text.split(",")):
        widths[part] = named.get(part) or MaskWidth(part, _positive(part))
    return tuple(widths.values())


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= LARGEST_WIDTH:
        raise ArgumentError("sigma", "must be initial, whole or numbers above 0 up to 1e30 such as 0.05,0.3", text)
    return value


class DenseConv(nn.Module):
    """A continuous layer that convolves with its sampled kernel by a plain convolution.

    Args:
        layer: gives the kernel.
        convolution: (signal, kernel, bias) -> output.
        cached: keep the kernel of every size instead of sampling it at every call; for evaluation.
    """

    def __init__(self, layer: ContinuousConv, convolution: Convolution, *, cached: bool = False) -> None:
        super().__init__()
        self.layer, self.convolution = layer, convolution
        self.kernels: dict[tuple[int, ...], Tensor] | None = {} if cached else None

    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, *size] -> [B, O, *size]."""
        return self.convolution(signal, self._kernel(tuple(signal.shape[2:])), self.layer.bias)

    def _kernel(self, size: tuple[int, ...]) -> Tensor:
        if self.kernels is None:
            return sample_alone(self.layer, size)
        if size not in self.kernels:
            self.kernels[size] = sample_alone(self.layer, size).detach()
        return self.kernels[size]


def sample_alone(layer: ContinuousConv, size: tuple[int, ...]) -> Tensor:
    """A layer's discrete kernel [O, I, *K], made without the other layers of its model."""
    [kernel] = sample_together([layer], size)
    return kernel.dense()


def convolve(signal: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """PyTorch's convolution with `same` padding in 2D, and with zeros in front in 1D."""
    if signal.dim() == 3:
        return F.conv1d(F.pad(signal, (kernel.shape[2] - 1, 0)), kernel, bias)
    return F.conv2d(signal, kernel, bias, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2))


def with_dense(model: nn.Module, convolution: Convolution, *, cached: bool = False) -> nn.Module:
    """A copy of a model or layer in which every continuous layer is a `DenseConv`."""

    def dense(module: nn.Module) -> nn.Module:
        if isinstance(module, ContinuousConv):
            return DenseConv(module, convolution, cached=cached)
        return module

    return with_layers(model, dense)


def built_in(model: nn.Module, name: str) -> nn.Module:
    """A copy of a model or layer as the candidate of a name: a baseline, a method or the system as it is."""
    if name in BASELINES.values():
        return with_dense(model, convolve)
    if name == plain_name(model):
        return Plain(model)
    model = copy.deepcopy(model)
    if name != SYSTEM:
        use_method(model, next(method for method in METHODS if method == name))
    return model


def built_in_names(name: str, model: nn.Module, methods: Sequence[str]) -> list[str]:
    """Candidates of a model of a name, the baseline first; methods are for continuous kernels.

    Raises:
        UsageError: a model that has neither these nor a plain way.
    """
    layer = next(layers(model, ContinuousConv), None)
    if layer is not None:
        return [BASELINES[layer.kernel.dims], *methods]
    plain = plain_name(model)
    if plain is None:
        raise UsageError(f"{name} has no continuous kernels to compare methods on; choose a model such as flexnet-7")
    return [plain, SYSTEM]


def truth_of(model: nn.Module) -> nn.Module:
    """A float64 copy of a model or layer that convolves directly, or of a system in its plain way."""
    return (with_dense(model, correlate_double) if plain_name(model) is None else Plain(model)).double()


def choices(model: nn.Module, images: Tensor) -> dict[str, str]:
    """What "auto" takes in the layers of a model, such as `direct 2, dft 13`, as a column of its row."""
    taken: Counter[str] = Counter()

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(layer, ContinuousConv):
            kernel = layer.factored(inputs[0].shape[2:])
            taken[choose_method(kernel, inputs[0], causal=layer.causal).way] += 1

    found = list(layers(model, ContinuousConv))
    hooks = [layer.register_forward_pre_hook(note) for layer in found]
    model(images)
    for hook in hooks:
        hook.remove()
    several = len(found) > 1
    return {"chosen": ", ".join(f"{way} {count}" if several else way for way, count in taken.most_common())}
