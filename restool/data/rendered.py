"""What the built-in data sets share: atoms that are drawn at random and rendered exactly on any grid."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from restool.data.dataset import PARTS, Dataset, Part, Split, fingerprint, within_limit
from restool.data.views import View

Array = NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True)
class Drawn:
    """N samples of up to P atoms, with what every one of their fields has in common: the first axis."""

    evidence: NDArray[np.bool_]  # [N, P], whether the class decides the frequency of the atom
    labels: NDArray[np.int64]  # [N]

    def __getitem__(self, which: slice) -> Self:
        return replace(self, **{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.labels)


D = TypeVar("D", bound=Drawn)


def interval_means(edges: Array, centre: Array, frequency: Array, width: Array) -> NDArray[np.complex128]:
    """Mean of exp(2 pi i f (x - c) - (x - c)^2 / (2 s^2)) between successive edges, in closed form.

    With p = (x - c) / (s sqrt 2) and q = pi f s sqrt 2 the antiderivative is s sqrt(pi / 2) exp(-q^2) erf(p - i q).
    Written with the Faddeeva function w where it is bounded (Abramowitz and Stegun 7.1.3), for p >= 0,

        exp(-q^2) erf(p - i q) = exp(-q^2) - exp(-p^2 + 2 i p q) w(q + i p),

    nothing overflows for any f and s; erf is odd, which covers p < 0.

    Args:
        edges: [n + 1] ascending, units.
        centre: c, [...] units.
        frequency: f, [...] cycles per unit.
        width: s > 0, [...] units.

    Returns:
        [..., n].
    """
    from scipy.special import wofz

    p = (edges - centre[..., None]) / (np.sqrt(2) * width[..., None])
    q = np.sqrt(2) * np.pi * (frequency * width)[..., None]
    sign = np.where(p < 0, -1.0, 1.0)
    antiderivative = sign * (np.exp(-(q**2)) - np.exp(-(p**2) + 2j * p * q) * wofz(sign * (q + 1j * p)))
    return np.sqrt(np.pi / 2) * width[..., None] * np.diff(antiderivative) / np.diff(edges)


def quantise(values: Array) -> NDArray[np.uint8]:
    """Grey levels of rendered values: 0 becomes mid-grey (128), -1 black, and what lies beyond +-1 is clipped."""
    return np.clip(np.rint(127.5 * (values + 1)), 0, 255).astype(np.uint8)


def rendered(
    name: str,
    limit: int | None,
    *,
    recipe: Any,
    version: int,
    draw: Callable[[Part], D],
    render: Callable[[D, int], Array],
    class_names: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    dims: int = 2,
) -> Dataset:
    """The data set of a recipe; every part is rendered once per size and kept.

    Args:
        name: of the data set.
        limit: as in `within_limit`.
        recipe: a dataclass, with how many samples each part has; it and the version decide the fingerprint.
        version: of the drawing.
        draw: all samples of a part.
        render: samples at a size, without the background: [N, C, *size].
        class_names: as in `Dataset`.
        mean: likewise, of as many channels.
        std: likewise.
        dims: likewise.

    Raises:
        UsageError: if the limit is below 1.
    """
    counts = within_limit({part: getattr(recipe, part) for part in PARTS}, limit)

    kept: dict[tuple[Part, int], Split] = {}  # unlike a `functools.cache`, it goes along to another process

    def read(part: Part, size: int, _view: View) -> Split:
        if (part, size) not in kept:
            samples = draw(part)[: counts[part]]
            levels = torch.from_numpy(quantise(render(samples, size)))
            kept[part, size] = Split(levels, torch.from_numpy(samples.labels))
        return kept[part, size]

    return Dataset(
        name=name,
        channels=len(mean),
        class_names=class_names,
        mean=mean,
        std=std,
        augment="none",
        native_size=None,
        fingerprint=fingerprint([name, version, asdict(recipe), counts]),
        counts=counts,
        read=read,
        dims=dims,
    )
