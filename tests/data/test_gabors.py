from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from restool.data import Batches, load
from restool.data.dataset import PARTS, Part
from restool.data.gabors import RECIPE, Scenes, draw, interval_means, render
from restool.kernels.coordinates import nyquist_frequency


def box_average(images: np.ndarray, factor: int) -> np.ndarray:
    n = images.shape[-1] // factor
    return images.reshape(*images.shape[:-2], n, factor, n, factor).mean(axis=(-3, -1))


def value(scenes: Scenes, scene: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The module's formula at points, patch by patch, without its factors: [3, ...]."""
    total = np.zeros((3, *y.shape))
    for p in range(scenes.width.shape[1]):
        dy, dx = y - scenes.centre[scene, p, 0], x - scenes.centre[scene, p, 1]
        fy, fx = scenes.frequency[scene, p]
        wave = np.cos(2 * np.pi * (fy * dy + fx * dx) + scenes.phase[scene, p])
        window = np.exp(-(dy**2 + dx**2) / (2 * scenes.width[scene, p] ** 2))
        total += scenes.colour[scene, p].reshape(3, *[1] * y.ndim) * wave * window
    return total


@pytest.mark.parametrize("frequency", [0.0, 1.6, -7.5, 40.0])
@pytest.mark.parametrize("width", [0.01, 0.2, 1.0])  # at 40 cycles per unit and width 1, erf itself overflows
@pytest.mark.parametrize("centre", [-0.3, 0.0, 1.2])
def test_the_closed_form_is_the_integral(frequency: float, width: float, centre: float) -> None:
    edges = np.linspace(-1, 1, 12)
    found = interval_means(edges, *(np.array([v]) for v in (centre, frequency, width)))[0]
    for low, high, mean in zip(edges[:-1], edges[1:], found, strict=True):
        for wave, actual in ((np.cos, mean.real), (np.sin, mean.imag)):

            def integrand(x: float, wave: np.ufunc = wave) -> float:
                u = x - centre
                return wave(2 * np.pi * frequency * u) * np.exp(-(u**2) / (2 * width**2))

            peak = [centre] if low < centre < high else None
            expected = quad(integrand, low, high, epsabs=1e-13, limit=200, points=peak)[0] / (high - low)
            assert actual == pytest.approx(expected, abs=1e-9)


def test_a_pixel_is_the_mean_of_the_scene_over_it() -> None:
    scenes, size = draw("test")[:3], 9
    nodes, weights = np.polynomial.legendre.leggauss(24)
    images = render(scenes, size)
    for scene in range(3):
        for row, column in ((0, 0), (4, 4), (2, 7), (8, 3)):
            y, x = ((2 * index + 1 + nodes) / size - 1 for index in (row, column))
            samples = value(scenes, scene, *np.meshgrid(y, x, indexing="ij"))
            expected = np.einsum("cyx,y,x->c", samples, weights, weights) / 4
            np.testing.assert_allclose(images[scene, :, row, column], expected, atol=1e-9)


@pytest.mark.parametrize(("size", "factor"), [(16, 2), (18, 2), (17, 2), (16, 3), (5, 7)])
def test_the_box_average_of_a_finer_image_is_the_coarser_image(size: int, factor: int) -> None:
    scenes = draw("validation")[:40]
    finer, coarser = render(scenes, factor * size), render(scenes, size)
    np.testing.assert_allclose(box_average(finer, factor), coarser, atol=1e-12)


def test_stored_images_nest_within_a_grey_level_where_nothing_is_clipped() -> None:
    dataset = load("gabors", limit=200)
    finer, coarser = (dataset.split("test", size) for size in (36, 18))
    assert torch.equal(finer.labels, coarser.labels)
    levels = finer.images.double().numpy()
    error = np.abs(box_average(levels, 2) - coarser.images.numpy())
    assert error[box_average(np.abs(levels - 127.5) == 127.5, 2) == 0].max() <= 1


@pytest.mark.parametrize("part", PARTS)
def test_evidence_lies_below_the_nyquist_frequency_of_16_pixels_and_distractors_above(part: Part) -> None:
    scenes, limit = draw(part), nyquist_frequency(16)
    assert (np.hypot(*scenes.frequency[scenes.evidence].T) < limit).all()
    assert (np.abs(scenes.frequency[~scenes.evidence]).max(axis=-1) > limit).all()


@pytest.mark.parametrize("part", PARTS)
def test_evidence_tells_the_class_and_is_in_every_scene(part: Part) -> None:
    scenes = draw(part)
    number = (scenes.evidence & (scenes.colour.max(axis=-1) > 0)).sum(axis=1)
    assert (number.min(), number.max()) == RECIPE.evidence
    y, x = np.moveaxis(scenes.frequency, -1, 0)
    angle = np.degrees(np.arctan2(y, x)) % 180
    step = 180 / RECIPE.orientations
    orientation = np.rint(angle / step) % RECIPE.orientations
    octave = np.argmin(np.abs(np.hypot(y, x)[..., None] - RECIPE.frequencies), axis=-1)
    told = octave * RECIPE.orientations + orientation
    assert (told == scenes.labels[:, None])[scenes.evidence].all()
    assert np.bincount(scenes.labels).min() == np.bincount(scenes.labels).max()


def test_no_image_is_in_two_parts_or_twice_in_one() -> None:
    dataset = load("gabors")
    seen = {part: {image.numpy().tobytes() for image in dataset.split(part, 16).images} for part in PARTS}
    assert {part: len(images) for part, images in seen.items()} == dataset.counts
    assert not any(seen[a] & seen[b] for a, b in combinations(PARTS, 2))


VERSION_1 = [
    [-0.00610704226, 0.01336903446, 0.06410941010, -0.16461877281],
    [0.01320785871, 0.00452955545, 0.00144030175, 0.00090268214],
]
"""Computed once; a change of the drawing or of NumPy's streams needs a new VERSION, because old records stay."""


def test_the_scenes_are_those_of_this_version_on_any_machine() -> None:
    np.testing.assert_allclose(render(draw("test")[:2], 8)[:, 1, 4, 2:6], VERSION_1, rtol=0, atol=1e-9)


def test_hardly_any_value_is_clipped() -> None:
    images = load("gabors").split("test", 36).images
    assert ((images == 0) | (images == 255)).double().mean() < 1e-4


def test_normalised_values_have_mean_0_and_standard_deviation_1_at_16_pixels() -> None:
    images, _ = next(Batches(load("gabors"), "train", 16, batch_size=3000, device="cpu").epoch())
    assert images.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=0.1)  # mid-grey is 127.5 or 128 of 255
    assert images.std(dim=(0, 2, 3)).tolist() == pytest.approx([1] * 3, abs=0.05)


def test_a_limit_keeps_the_first_scenes_and_changes_the_fingerprint() -> None:
    whole, some = load("gabors"), load("gabors", limit=30)
    assert some.counts == {"train": 30, "validation": 3, "test": 30}
    for part, count in some.counts.items():
        assert torch.equal(some.split(part, 8).images, whole.split(part, 8).images[:count])
    assert some.fingerprint != whole.fingerprint
    assert load("gabors", limit=5000).fingerprint == whole.fingerprint == load("gabors").fingerprint


def accuracy(model: torch.nn.Module, batches: Batches) -> float:
    model.eval()
    with torch.no_grad():
        return sum(int((model(x).argmax(1) == y).sum()) for x, y in batches.epoch()) / batches.samples


def train(model: torch.nn.Module, epochs: int, rate: float) -> float:
    """Accuracy on the test part at 16 pixels after training at 16 pixels."""
    dataset = load("gabors")
    batches = Batches(dataset, "train", 16, batch_size=64, device="cpu")
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(batches))
    for epoch in range(epochs):
        for x, y in batches.epoch(shuffle_seed=epoch):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
            schedule.step()
    return accuracy(model, Batches(dataset, "test", 16, batch_size=250, device="cpu"))


@pytest.mark.slow
def test_a_short_training_learns_the_classes_but_a_linear_model_cannot() -> None:
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for channels in (3, 16, 16):
        layers += [torch.nn.Conv2d(channels, 16, 5, padding=2), torch.nn.BatchNorm2d(16), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 10))
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 10))
    assert train(network, 4, 0.01) > 0.9
    assert train(linear, 4, 0.001) < 0.5
    as_is = accuracy(network, Batches(load("gabors"), "test", 32, batch_size=250, device="cpu"))
    assert as_is < 0.6  # the same weights on twice the pixels see other frequencies
