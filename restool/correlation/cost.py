"""What a correlation costs by every method: operations and bytes counted, seconds predicted from a device's rates.

Operations are floating-point multiplications and additions, counted one each. Counts are of what the methods of this
package do, but for what gradients of large spectra compute again; bytes are compulsory: inputs read once, outputs
written once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from restool.correlation.geometry import Geometry, fast_lengths

Way = Literal["direct", "fft", "basis", "dft"]
WAYS: tuple[Way, ...] = get_args(Way)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Operations of one call by kind, and the bytes that must move.

    Attributes:
        convolution: of PyTorch's convolution; taps that fall outside the signal are not counted.
        dft: of products with cosine and sine matrices.
        fft: of fast transforms, 2.5 P log2 P for P real points.
        mix: of products per frequency, and of those that combine basis functions.
        bytes: of signal, kernel and output, and of their gradients when training.
    """

    convolution: float = 0.0
    dft: float = 0.0
    fft: float = 0.0
    mix: float = 0.0
    bytes: float = 0.0

    @property
    def kinds(self) -> dict[str, float]:
        """Operations by kind, in the order of `KINDS`."""
        return {"convolution": self.convolution, "dft": self.dft, "fft": self.fft, "mix": self.mix}

    @property
    def operations(self) -> float:
        """All of them."""
        return sum(self.kinds.values())


KINDS = tuple(Work().kinds)


@dataclass(frozen=True)
class Rates:
    """What a device takes: seconds of a call by method, and seconds of an operation by kind."""

    call: Mapping[str, float]
    operation: Mapping[str, float]

    def seconds(self, way: Way, work: Work) -> float:
        """Predicted time: call + sum over kinds of operations times their rate."""
        return self.call[way] + sum(self.operation[kind] * count for kind, count in work.kinds.items())


@dataclass(frozen=True)
class Choice:
    """The cheapest method and the predicted seconds of every one that fits, cheapest first."""

    seconds: Mapping[Way, float]

    @property
    def way(self) -> Way:
        """The cheapest."""
        return next(iter(self.seconds))

    def __str__(self) -> str:
        """The choice and its reason: `dft, because dft 1.2 ms < basis 2.0 ms < ...`."""
        listed = " < ".join(f"{way} {1e3 * seconds:.3g} ms" for way, seconds in self.seconds.items())
        return f"{self.way}, because {listed}"


def choose(works: Mapping[Way, Work], rates: Rates) -> Choice:
    """Rank methods by predicted time."""
    seconds = {way: rates.seconds(way, work) for way, work in works.items()}
    return Choice(dict(sorted(seconds.items(), key=lambda item: item[1])))


def work(
    signal: Sequence[int],
    kernel: Sequence[int],
    *,
    causal: bool = False,
    hidden: int | None = None,
    training: bool = True,
) -> dict[Way, Work]:
    """Work of every method that fits, in float32.

    Args:
        signal: shape [B, I, *S].
        kernel: shape [O, I, *K].
        causal: as in `correlate`.
        hidden: H, basis functions of a factored kernel; None for a tensor of taps.
        training: count the gradients with respect to signal and kernel too.
    """
    batch, inputs, *size = signal
    outputs, _, *taps = kernel
    pairs, geometry = outputs * inputs, Geometry(tuple(size), tuple(taps), causal)
    functions = pairs if hidden is None else hidden
    parameters = math.prod(kernel) if hidden is None else hidden * (pairs + math.prod(taps))
    moved = _bytes(batch * inputs * math.prod(size), batch * outputs * math.prod(size), parameters, training)
    passes = 3 if training else 1  # a product has two gradients, each a product of the same size
    both_ways = 2 if training else 1  # the gradient analyses the upstream gradient and synthesises the signal's
    sampling = 0.0 if hidden is None else 2.0 * passes * pairs * hidden * math.prod(taps)
    signals, kernels = batch * (inputs + outputs) * both_ways, functions * both_ways
    # the kernel's matrices are combined for the output and again for the signal's gradient, and have two gradients
    combining = 0.0 if hidden is None else 4.0 * (4 if training else 1) * hidden * pairs
    mix = 8.0 * passes * batch * pairs

    short = geometry.shortest_period
    fast = fast_lengths(short)
    fast_half = (fast[0] // 2 + 1) * math.prod(fast[1:])
    short_half = (short[0] + 1) // 2 * math.prod(short[1:])
    transform = 2.5 * math.prod(fast) * math.log2(max(math.prod(fast), 2))
    products = signals * _dft_operations(size, short) + kernels * _dft_operations(geometry.met, short)
    works: dict[Way, Work] = {
        "direct": Work(convolution=2.0 * passes * batch * pairs * geometry.meetings, mix=sampling, bytes=moved),
        "fft": Work(fft=(signals + pairs * both_ways) * transform, mix=mix * fast_half + sampling, bytes=moved),
        "dft": Work(dft=products, mix=(mix + combining) * short_half, bytes=moved),
    }
    if hidden is not None:
        works["basis"] = Work(fft=(signals + kernels) * transform, mix=(mix + combining) * fast_half, bytes=moved)
    return works


def _dft_operations(size: Sequence[int], period: Sequence[int]) -> float:
    """Of one image: real to complex along y, then complex along x; a sequence is an image of one column."""
    rows, height = (period[0] + 1) // 2, size[0]
    width, length = (size[1], period[1]) if len(size) == 2 else (1, 1)
    return 4.0 * rows * height * width + 8.0 * rows * width * length


def _bytes(signal: int, output: int, parameters: int, training: bool) -> float:
    once = signal + output + parameters
    gradients = 2 * signal + output + 2 * parameters if training else 0  # read x, dy, K; write dx, dK
    return 4.0 * (once + gradients)
