"""Where a kernel meets a signal: taps in front, taps that can be left out, and the period that makes wrapping harmless.

    y[i] = sum_k K[k] x[i + k - before],   x is zero outside 0..n-1

`before` is R of the 2R + 1 taps of a `same` kernel, and K - 1 of a causal one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """One kernel on signals of one size, whatever their number and channels.

    Attributes:
        size: n, points of the signal along every axis.
        taps: K, likewise, of the kernel as given.
        causal: whether outputs see the current and earlier points only.
    """

    size: tuple[int, ...]
    taps: tuple[int, ...]
    causal: bool

    @property
    def cut(self) -> tuple[int, ...]:
        """Taps on each side of a `same` kernel that never meet the signal: those of offsets of n points and more."""
        return tuple(0 if self.causal else max(k // 2 - (n - 1), 0) for k, n in zip(self.taps, self.size, strict=True))

    @property
    def met(self) -> tuple[int, ...]:
        """Taps after the cut."""
        return tuple(k - 2 * c for k, c in zip(self.taps, self.cut, strict=True))

    @property
    def before(self) -> tuple[int, ...]:
        """Taps in front of the one that meets the output's own point, after the cut."""
        return tuple(k - 1 if self.causal else k // 2 - c for k, c in zip(self.taps, self.cut, strict=True))

    @property
    def shortest_period(self) -> tuple[int, ...]:
        """Circular length that gives exact outputs: n + before.

        Indices run over the ends by at most `before` points, and those wrap into the zeros behind the signal.
        """
        return tuple(n + b for n, b in zip(self.size, self.before, strict=True))

    @property
    def meetings(self) -> int:
        """Pairs of an output point and a tap that meet a point of the signal: multiplications of a direct sum."""
        total = 1
        for n, k, b in zip(self.size, self.taps, self.before, strict=True):
            after = 0 if self.causal else b
            reach = [min(i + after, n - 1) - max(i - b, 0) + 1 for i in range(n)]
            total *= sum(min(r, k) for r in reach)
        return total

    def reachable(self, taps: Tensor) -> Tensor:
        """Leave out the taps that never meet the signal: [..., *K] -> [..., *K']."""
        if not any(self.cut):
            return taps
        kept: list[slice] = [slice(None)] * (taps.dim() - len(self.taps))
        kept += [slice(c, k - c) for c, k in zip(self.cut, self.taps, strict=True)]
        return taps[tuple(kept)]


def fast_length(minimum: int) -> int:
    """Smallest even length >= minimum with no prime factor above 7: what FFT libraries transform fastest."""
    length = minimum + minimum % 2
    while _has_factor_above_7(length):
        length += 2
    return length


def fast_lengths(minima: Sequence[int]) -> tuple[int, ...]:
    """`fast_length` along every axis; an axis of one point stays as it is."""
    return tuple(fast_length(n) if n > 1 else 1 for n in minima)


def _has_factor_above_7(length: int) -> bool:
    for factor in (2, 3, 5, 7):
        while length % factor == 0:
            length //= factor
    return length > 1
