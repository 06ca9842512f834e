from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from restool.data import load
from restool.data.dataset import PARTS, Part
from restool.data.tones import CLASS_NAMES, RECIPE, Tones, draw, render
from restool.errors import UsageError

NYQUIST_128, NYQUIST_256 = 32, 64
"""Cycles per unit that n steps on [-1, 1] carry: n / 4."""


def step_means(sequences: np.ndarray, factor: int) -> np.ndarray:
    return sequences.reshape(*sequences.shape[:-1], -1, factor).mean(axis=-1)


def value(tones: Tones, sequence: int, t: float) -> float:
    """The module's formula at one moment, tone by tone."""
    u, s = t - tones.centre[sequence], tones.width[sequence]
    wave = np.cos(2 * np.pi * tones.frequency[sequence] * u + tones.phase[sequence])
    return float((tones.amplitude[sequence] * wave * np.exp(-(u**2) / (2 * s**2))).sum())


@pytest.mark.parametrize("steps", [100, 256])
def test_a_step_is_the_mean_of_the_tones_over_it(steps: int) -> None:
    tones = draw("test")[:3]
    sequences, edges = render(tones, steps), np.linspace(-1, 1, steps + 1)
    for sequence in range(3):
        for step in (0, steps // 5, steps // 2, 4 * steps // 5, steps - 1):
            low, high = edges[step : step + 2]
            expected = quad(lambda t, n=sequence: value(tones, n, t), low, high, epsabs=1e-13)[0] / (high - low)
            assert sequences[sequence, 0, step] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("steps", "factor"), [(256, 2), (128, 2), (200, 3), (97, 5), (1, 64)])
def test_the_means_over_steps_of_a_finer_rendering_are_the_coarser_one(steps: int, factor: int) -> None:
    tones = draw("validation")[:40]
    np.testing.assert_allclose(step_means(render(tones, factor * steps), factor), render(tones, steps), atol=1e-12)


def test_stored_sequences_nest_within_a_grey_level() -> None:
    dataset = load("tones", limit=100)
    finer, coarser = (dataset.split("test", steps) for steps in (512, 256))
    assert torch.equal(finer.labels, coarser.labels)
    assert np.abs(step_means(finer.images.double().numpy(), 2) - coarser.images.numpy()).max() <= 1


def share(tones: Tones, above: float) -> np.ndarray:
    """Share of the energy of each sequence, rendered at 2048 steps, that lies above a frequency."""
    energy = np.abs(np.fft.rfft(render(tones, 2048)[:, 0])) ** 2
    return energy[:, np.fft.rfftfreq(2048, 2 / 2048) > above].sum(axis=1) / energy.sum(axis=1)


def test_evidence_lies_below_the_nyquist_frequency_of_128_steps_and_distractors_above_that_of_256() -> None:
    tones = draw("test")[:200]
    assert share(replace(tones, amplitude=tones.amplitude * tones.evidence), NYQUIST_128).max() < 1e-3
    assert share(replace(tones, amplitude=tones.amplitude * ~tones.evidence), NYQUIST_256).min() > 1 - 1e-3


@pytest.mark.parametrize("part", PARTS)
def test_the_two_ends_tell_the_class_and_distractors_are_louder(part: Part) -> None:
    tones = draw(part)
    for end, (least, most) in enumerate((RECIPE.early, RECIPE.late)):
        assert ((least <= tones.centre[:, end]) & (tones.centre[:, end] <= most)).all()
    nearest = np.abs(tones.frequency[:, :2, None] - RECIPE.frequencies).argmin(axis=-1)
    assert (nearest @ [len(RECIPE.frequencies), 1] == tones.labels).all()
    assert np.ptp(np.bincount(tones.labels)) <= 1
    quietest = np.where(tones.amplitude > 0, tones.amplitude, np.inf)[:, 2:].min(axis=1)
    assert (quietest > tones.amplitude[:, :2].max(axis=1)).all()
    number = (tones.amplitude[:, 2:] > 0).sum(axis=1)
    assert (number.min(), number.max()) == RECIPE.distractors


def test_class_names_are_frequencies_in_the_order_of_time() -> None:
    assert CLASS_NAMES[1] == "4 then 8 cycles/unit"
    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES) == 9


def heard(sequences: torch.Tensor) -> np.ndarray:
    """Which frequency has the most energy in the first and in the last two fifths: int64 [N, 2]."""
    levels = sequences[:, 0].double().numpy() - 127.5
    n = levels.shape[-1]
    t = (2 * np.arange(n) + 1) / n - 1
    template = np.exp(2j * np.pi * np.outer(t, RECIPE.frequencies))
    return np.stack([np.abs(levels * side @ template).argmax(axis=1) for side in (t < -0.2, t > 0.2)], axis=1)


@pytest.mark.parametrize("steps", [128, 256, 1024])
def test_energies_at_both_ends_tell_the_class_and_one_end_alone_does_not(steps: int) -> None:
    test = load("tones", limit=None if steps == 256 else 200).split("test", steps)
    found, labels = heard(test.images), test.labels.numpy()
    assert (found @ [3, 1] == labels).mean() > 0.97
    for end in (0, 1):
        most = sum(np.bincount(labels[found[:, end] == kind], minlength=9).max() for kind in range(3))
        assert most / len(labels) < 0.4


def test_no_sequence_is_in_two_parts_or_twice_in_one() -> None:
    dataset = load("tones")
    seen = {part: {row.numpy().tobytes() for row in dataset.split(part, 64).images} for part in PARTS}
    assert {part: len(rows) for part, rows in seen.items()} == dataset.counts
    assert dataset.counts == {"train": 3000, "validation": 500, "test": 1000}
    assert not any(seen[a] & seen[b] for a, b in combinations(PARTS, 2))


VERSION_1 = [
    [-0.00069393397, -0.10300385628, -0.16698559160, -0.14381841282],
    [0.05199020031, 0.06954470752, 0.00398493429, -0.06213311149],
]
"""Computed once; a change of the drawing or of NumPy's streams needs a new VERSION, because old records stay."""


def test_the_tones_are_those_of_this_version_on_any_machine() -> None:
    np.testing.assert_allclose(render(draw("test")[:2], 64)[:, 0, 12:16], VERSION_1, rtol=0, atol=1e-9)


def test_hardly_any_value_is_clipped_and_none_at_256_steps() -> None:
    tones = draw("test")[:300]
    assert (np.abs(render(tones, 1024)) > 1).mean() < 1e-4
    assert np.abs(render(tones, 256)).max() < 0.75


def test_normalised_values_have_mean_0_and_standard_deviation_1_at_256_steps() -> None:
    dataset = load("tones")
    values = dataset.split("train", 256).images.double() / 255
    assert values.mean().item() == pytest.approx(dataset.mean[0], abs=1e-3)
    assert values.std().item() == pytest.approx(dataset.std[0], rel=0.01)


def test_a_limit_keeps_the_first_sequences_and_changes_the_fingerprint() -> None:
    whole, some = load("tones"), load("tones", limit=30)
    assert some.counts == {"train": 30, "validation": 3, "test": 30}
    for part, count in some.counts.items():
        assert torch.equal(some.split(part, 16).images, whole.split(part, 16).images[:count])
    assert some.fingerprint != whole.fingerprint != load("gabors").fingerprint
    assert load("tones", limit=5000).fingerprint == whole.fingerprint == load("tones").fingerprint


def test_they_are_sequences_of_one_channel_at_any_number_of_steps() -> None:
    dataset = load("tones", limit=10)
    assert (dataset.dims, dataset.unit, dataset.native_size, dataset.fixed) == (1, "steps", None, None)
    split = dataset.split("train", 77)
    assert (split.images.dtype, tuple(split.images.shape)) == (torch.uint8, (10, 1, 77))
    with pytest.raises(UsageError, match="^`limit` must be at least 1 image, but is 0; leave it out to use them all$"):
        load("tones", limit=0)
