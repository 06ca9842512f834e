"""A low pass keeps what is slower than half of its cut and leaves nothing of what is faster than the cut."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn, idctn

from restool.data.lowpass import low_pass
from restool.data.views import View

HEIGHT, WIDTH = 30, 48


def gain(frequency: np.ndarray | float, cut: float) -> np.ndarray:
    """H(f), written by cases."""
    falling = 0.5 * (1 + np.cos(np.pi * (np.asarray(frequency) - cut / 2) / (cut / 2)))
    return np.where(np.asarray(frequency) <= cut / 2, 1.0, np.where(np.asarray(frequency) >= cut, 0.0, falling))


def wave(cycles: float, side: int) -> np.ndarray:
    """Grey levels around 128 that go up and down so many times; half cycles end in a crest at both borders."""
    return 100 * np.cos(2 * np.pi * cycles * (np.arange(side) + 0.5) / side)


@pytest.mark.parametrize("cuts", [(0.1, 0.1), (0.4, 0.05), (0.21, 0.9), (3.0, 3.0)])
def test_it_is_scipys_cosine_transform_with_gains(cuts: tuple[float, float]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, HEIGHT, WIDTH), dtype=np.uint8)
    gains = [gain(np.arange(side) / (2 * side), cut) for side, cut in zip((HEIGHT, WIDTH), cuts, strict=True)]
    spectrum = dctn(images.astype(float), axes=(2, 3)) * gains[0][:, None] * gains[1]
    expected = np.clip(np.floor(idctn(spectrum, axes=(2, 3)) + 0.5), 0, 255)
    np.testing.assert_array_equal(low_pass(torch.from_numpy(images), cuts).numpy(), expected)


@pytest.mark.parametrize("cycles", [1, 4.5, 6, 7.5, 11.5, 12, 20])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_wave_passes_as_its_frequency_says(cycles: float, axis: int) -> None:
    side, cut = 48, 0.25
    shape = [(side, 1), (1, side)][axis]
    image = np.rint(128 + wave(cycles, side)).reshape(shape) + np.zeros((side, side))
    found = low_pass(torch.from_numpy(image.astype(np.uint8)), (cut, cut)).numpy()
    expected = 128 + gain(cycles / side, cut) * wave(cycles, side).reshape(shape)
    assert np.abs(found - expected).max() <= 1  # both are rounded to grey levels


@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_what_the_new_grid_cannot_show_is_gone_before_a_filter_could_alias_it(fit: str) -> None:
    picture = Image.fromarray(np.rint(128 + wave(36, 96) + np.zeros((60, 1))).astype(np.uint8))
    plain = View(fit=fit, crop_ratio=1.0, resample="nearest")
    soft = View(fit=fit, crop_ratio=1.0, resample="nearest", low_pass=1.0)
    assert plain.of_picture(picture, 30, (0,)).float().std() > 40
    assert soft.of_picture(picture, 30, (0,)).float().std() < 1
    slow = Image.fromarray(np.rint(128 + wave(4, 96) + np.zeros((60, 1))).astype(np.uint8))
    shown = [view.of_picture(slow, 30, (0,)).int() for view in (plain, soft)]
    assert (shown[0] - shown[1]).abs().max() <= 1


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("size", [12, 28, 40])
def test_stored_squares_are_softened_as_pictures_are(size: int, share: float) -> None:
    view = View(crop_ratio=0.9, low_pass=share)
    images = torch.from_numpy(np.random.default_rng(size).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8))
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    expected = torch.stack([view.of_picture(picture, size, (0, 0, 0)) for picture in pictures])
    assert (view.of_squares(images, size).int() - expected.int()).abs().max() <= 1
    assert not torch.equal(expected, View(crop_ratio=0.9).of_squares(images, size)) or (share == 1 and size == 40)
