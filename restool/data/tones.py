"""The built-in sequences: tones in time, rendered at any number of steps by the exact integral over each step.

A tone with centre c, frequency f (cycles per unit), width s, phase p and amplitude a adds

    a cos(2 pi f (t - c) + p) exp(-(t - c)^2 / (2 s^2)),        t in [-1, 1],

to a mid-grey background. The class of a sequence is a pair: the frequency of the *evidence* tone in its first half and
that of the one in its second half, so that a model has to remember the first beyond the second. Both are long and fade
into each other, so that a model which sees little of the past at first gains by every step that it sees more. They lie
below the Nyquist frequency of 128 steps (32 cycles per unit; n steps carry n / 4). *Distractor* tones lie anywhere in
time, are louder, tell nothing, and lie above the Nyquist frequency of 256 steps, at which a model is meant to be
trained: there the means over steps weaken them and they alias, on finer grids they show as they are.
"""

from dataclasses import dataclass

import numpy as np

from restool.data.dataset import PARTS, Dataset, Part
from restool.data.rendered import Array, Drawn, Range, interval_means, rendered

VERSION = 1
"""The version is part of the fingerprint. It is raised whenever the same recipe gives other values."""

CHUNK = 100
"""So many sequences are rendered at a time, which keeps their complex factors in tens of megabytes."""


@dataclass(frozen=True)
class Recipe:
    """How sequences are drawn; pairs are the least and the most of a uniform distribution, lengths are in units."""

    train: int = 3000
    validation: int = 500
    test: int = 1000
    frequencies: tuple[float, ...] = (4.0, 8.0, 13.0)  # cycles per unit; the classes are pairs of them
    jitter: float = 0.04  # share by which the frequency of an evidence tone is off at most
    early: Range = (-0.45, -0.1)  # centre of the first evidence tone
    late: Range = (0.2, 0.5)  # centre of the second
    evidence_width: Range = (0.25, 0.35)
    distractors: tuple[int, int] = (2, 5)  # tones in a sequence
    distractor_frequency: Range = (70.0, 110.0)
    distractor_centre: Range = (-0.8, 0.8)
    evidence_amplitude: Range = (0.15, 0.25)  # 1 spans mid-grey to white
    distractor_amplitude: Range = (0.3, 0.45)
    distractor_width: Range = (0.08, 0.12)


RECIPE = Recipe()
CLASS_NAMES = tuple(
    f"{first:g} then {second:g} cycles/unit" for first in RECIPE.frequencies for second in RECIPE.frequencies
)
MEAN, STD = 0.5, 0.0588
"""Background, and standard deviation at 256 steps, both of values in [0, 1]."""


@dataclass(frozen=True)
class Tones(Drawn):
    """N sequences of up to P tones, the two of the class before the others; one that is absent has amplitude 0."""

    centre: Array  # [N, P], units
    frequency: Array  # [N, P], cycles per unit
    width: Array  # [N, P], units
    phase: Array  # [N, P], radians
    amplitude: Array  # [N, P]


def draw(part: Part) -> Tones:
    """All sequences of a part, from its own stream of random numbers; labels run through the classes in turn."""
    rng = np.random.default_rng([VERSION, PARTS.index(part)])
    n, d, kinds = getattr(RECIPE, part), RECIPE.distractors[1], len(RECIPE.frequencies)
    labels = np.arange(n) % len(CLASS_NAMES)
    told = np.array(RECIPE.frequencies)[np.stack([labels // kinds, labels % kinds], axis=1)]  # [N, 2]
    told *= 1 + rng.uniform(-RECIPE.jitter, RECIPE.jitter, told.shape)
    ends = np.stack([rng.uniform(*RECIPE.early, n), rng.uniform(*RECIPE.late, n)], axis=1)
    present = np.arange(d) < rng.integers(*RECIPE.distractors, (n, 1), endpoint=True)
    amplitudes = rng.uniform(*RECIPE.evidence_amplitude, (n, 2)), rng.uniform(*RECIPE.distractor_amplitude, (n, d))
    widths = rng.uniform(*RECIPE.evidence_width, (n, 2)), rng.uniform(*RECIPE.distractor_width, (n, d))
    return Tones(
        centre=np.concatenate([ends, rng.uniform(*RECIPE.distractor_centre, (n, d))], axis=1),
        frequency=np.concatenate([told, rng.uniform(*RECIPE.distractor_frequency, (n, d))], axis=1),
        width=np.concatenate(widths, axis=1),
        phase=rng.uniform(0, 2 * np.pi, (n, 2 + d)),
        amplitude=np.concatenate([amplitudes[0], present * amplitudes[1]], axis=1),
        evidence=np.tile(np.arange(2 + d) < 2, (n, 1)),
        labels=labels,
    )


def render(tones: Tones, steps: int) -> Array:
    """Mean over each step of every sequence, without the background: float64 [N, 1, steps], exact for any number."""
    edges = np.linspace(-1, 1, steps + 1)
    sequences = np.empty((len(tones), 1, steps))
    for start in range(0, len(tones), CHUNK):
        part = tones[start : start + CHUNK]
        strength = part.amplitude * np.exp(1j * part.phase)
        means = interval_means(edges, part.centre, part.frequency, part.width)  # [N, P, steps]
        sequences[start : start + CHUNK] = (strength[:, None] @ means).real
    return sequences


def tones(limit: int | None) -> Dataset:
    """The built-in sequences, `limit` as in `within_limit`.

    Raises:
        UsageError: if the limit is below 1.
    """
    return rendered(
        "tones",
        limit,
        recipe=RECIPE,
        version=VERSION,
        draw=draw,
        render=render,
        class_names=CLASS_NAMES,
        mean=(MEAN,),
        std=(STD,),
        dims=1,
    )
