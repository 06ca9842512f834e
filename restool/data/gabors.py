"""The built-in data set: scenes of Gabor patches, rendered at any size by the exact integral over each pixel.

A patch with centre c, wave vector f (cycles per unit), width s, phase p and colour a adds

    a * Re[exp(i (2 pi f . (x - c) + p))] * exp(-|x - c|^2 / (2 s^2)),        x in [-1, 1]^2,

to a mid-grey background. The class of a scene is the orientation and the frequency that its *evidence* patches
share; they lie below the Nyquist frequency of 16 pixels (4 cycles per unit). *Distractor* patches lie above it along
at least one axis, whatever their orientation, and tell nothing: at 16 pixels they alias, on finer grids they show as
they are.
"""

from dataclasses import dataclass

import numpy as np

from restool.data.dataset import PARTS, Dataset, Part
from restool.data.rendered import Array, Drawn, Range, interval_means, rendered

VERSION = 1
"""The version is part of the fingerprint. It is raised whenever the same recipe gives other pixels."""

CHUNK = 500
"""So many scenes are rendered at a time, which keeps their complex factors in tens of megabytes."""


@dataclass(frozen=True)
class Recipe:
    """How scenes are drawn; pairs are the least and the most of a uniform distribution, lengths are in units."""

    train: int = 3000
    validation: int = 500
    test: int = 1000
    orientations: int = 5
    frequencies: tuple[float, ...] = (1.6, 3.0)  # cycles per unit; the classes are orientations x frequencies
    jitter: float = 6.0  # degrees by which an evidence patch is turned at most
    evidence: tuple[int, int] = (1, 2)  # patches in a scene
    distractors: tuple[int, int] = (2, 5)
    distractor_frequency: Range = (5.8, 7.5)
    evidence_amplitude: Range = (0.3, 0.6)  # 1 spans mid-grey to white
    distractor_amplitude: Range = (0.6, 1.0)
    centre: Range = (-0.8, 0.8)
    width: Range = (0.16, 0.28)
    channel: Range = (0.2, 1.0)  # share of the amplitude that a colour channel shows


RECIPE = Recipe()
CLASS_NAMES = tuple(
    f"{180 // RECIPE.orientations * k} deg at {f} cycles/unit"
    for f in RECIPE.frequencies
    for k in range(RECIPE.orientations)
)
MEAN, STD = 0.5, 0.028
"""Background, and standard deviation of a channel at 16 pixels, both of values in [0, 1]."""


@dataclass(frozen=True)
class Scenes(Drawn):
    """N scenes of up to P patches; a patch that is absent has colour 0. Pairs are in order (y, x)."""

    centre: Array  # [N, P, 2], units
    frequency: Array  # [N, P, 2], cycles per unit
    width: Array  # [N, P], units
    phase: Array  # [N, P], radians
    colour: Array  # [N, P, 3]


def draw(part: Part) -> Scenes:
    """All scenes of a part, from its own stream of random numbers; labels run through the classes in turn."""
    rng = np.random.default_rng([VERSION, PARTS.index(part)])
    n, e, d = getattr(RECIPE, part), RECIPE.evidence[1], RECIPE.distractors[1]
    labels = np.arange(n) % len(CLASS_NAMES)
    turn = np.deg2rad(rng.uniform(-RECIPE.jitter, RECIPE.jitter, (n, e)))
    evidence = _patches(
        rng,
        angle=np.pi / RECIPE.orientations * (labels % RECIPE.orientations)[:, None] + turn,
        frequency=np.repeat(np.array(RECIPE.frequencies)[labels // RECIPE.orientations][:, None], e, axis=1),
        number=RECIPE.evidence,
        amplitude=RECIPE.evidence_amplitude,
    )
    distractors = _patches(
        rng,
        angle=rng.uniform(0, np.pi, (n, d)),
        frequency=rng.uniform(*RECIPE.distractor_frequency, (n, d)),
        number=RECIPE.distractors,
        amplitude=RECIPE.distractor_amplitude,
    )
    both = {name: np.concatenate([evidence[name], distractors[name]], axis=1) for name in evidence}
    return Scenes(**both, evidence=np.tile(np.arange(e + d) < e, (n, 1)), labels=labels)


def _patches(
    rng: np.random.Generator, *, angle: Array, frequency: Array, number: tuple[int, int], amplitude: Range
) -> dict[str, Array]:
    """Fields of `Scenes` for patches of given wave vectors in polar form, each [N, P]; the last ones may be absent."""
    shape = angle.shape
    present = np.arange(shape[1]) < rng.integers(*number, (shape[0], 1), endpoint=True)
    strength = present * rng.uniform(*amplitude, shape)
    return {
        "centre": rng.uniform(*RECIPE.centre, (*shape, 2)),
        "frequency": frequency[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1),
        "width": rng.uniform(*RECIPE.width, shape),
        "phase": rng.uniform(0, 2 * np.pi, shape),
        "colour": strength[..., None] * rng.uniform(*RECIPE.channel, (*shape, 3)),
    }


def render(scenes: Scenes, size: int) -> Array:
    """Mean over each pixel of every scene, without the background: float64 [N, 3, size, size], exact for any size.

    The integral separates: a patch is Re[exp(i p) Y(y) X(x)] = Re[exp(i p) Y] Re[X] - Im[exp(i p) Y] Im[X], so a
    scene is one product of an [n, 2P] and a [2P, n] matrix per colour.
    """
    edges = np.linspace(-1, 1, size + 1)
    images = np.empty((len(scenes), 3, size, size))
    for start in range(0, len(scenes), CHUNK):
        part = scenes[start : start + CHUNK]
        y = interval_means(edges, part.centre[..., 0], part.frequency[..., 0], part.width)  # [N, P, n]
        x = interval_means(edges, part.centre[..., 1], part.frequency[..., 1], part.width)
        y = y * np.exp(1j * part.phase)[..., None]
        rows = np.concatenate([y.real, -y.imag], axis=1)[:, None]  # [N, 1, 2P, n]
        columns = np.concatenate([x.real, x.imag], axis=1)[:, None]
        colour = np.tile(part.colour, (1, 2, 1)).transpose(0, 2, 1)[..., None]  # [N, 3, 2P, 1]
        images[start : start + CHUNK] = (colour * rows).swapaxes(2, 3) @ columns
    return images


def gabors(limit: int | None) -> Dataset:
    """The built-in data set, `limit` as in `within_limit`.

    No value of its test part is clipped at 16 pixels, and 1 in 40,000 at 36.

    Raises:
        UsageError: if the limit is below 1.
    """
    return rendered(
        "gabors",
        limit,
        recipe=RECIPE,
        version=VERSION,
        draw=draw,
        render=render,
        class_names=CLASS_NAMES,
        mean=(MEAN,) * 3,
        std=(STD,) * 3,
    )
