import numpy as np
import pytest
import torch
from PIL import Image
from scipy import signal

from restool.data.rates import Resample, fourier_resample, resample
from restool.errors import ArgumentError


def noise(steps: int) -> np.ndarray:
    """Noise, saturated noise and an impulse in the last step: uint8 [3, 2, steps]."""
    levels = np.random.default_rng(0).integers(0, 256, (2, steps), dtype=np.uint8)
    impulse = np.zeros_like(levels)
    impulse[:, -1] = 255
    return np.stack([levels, 255 * (levels > 127).astype(np.uint8), impulse])


@pytest.mark.parametrize("k", [1, 2, 3, 7, 42, 84])
def test_every_keeps_the_last_of_every_k_steps(k: int) -> None:
    levels = noise(84)
    expected = np.stack([levels[..., step] for step in range(84) if (step + 1) % k == 0], axis=-1)
    np.testing.assert_array_equal(resample(torch.from_numpy(levels), 84 // k, "every"), expected)
    assert expected[2].max() == 255  # the last step stays


@pytest.mark.parametrize("length", [784, 100])
@pytest.mark.parametrize("steps", [1, 50, 99, 196, 392, 783, 784, 1568])
def test_decimate_is_pillows_bilinear_on_images_of_one_row(length: int, steps: int) -> None:
    levels = noise(length)
    expected = [
        np.asarray(Image.fromarray(row[None]).resize((steps, 1), Image.Resampling.BILINEAR))[0]
        for row in levels.reshape(-1, length)
    ]
    actual = resample(torch.from_numpy(levels), steps)
    np.testing.assert_array_equal(actual, np.reshape(expected, (3, 2, steps)))
    assert torch.equal(actual, resample(torch.from_numpy(levels).float(), steps, "decimate"))


@pytest.mark.parametrize("length", [96, 97])
@pytest.mark.parametrize("steps", [1, 2, 31, 48, 95, 96, 97, 192, 193])
def test_bandlimited_is_scipys_fourier_resampling(length: int, steps: int) -> None:
    levels = noise(length)
    exact = signal.resample(levels.astype(np.float64), steps, axis=-1)
    actual = fourier_resample(torch.from_numpy(levels).double(), steps).numpy()
    np.testing.assert_allclose(actual, exact, atol=1e-10)
    rounded = resample(torch.from_numpy(levels), steps, "bandlimited").numpy()
    assert np.abs(rounded - exact.clip(0, 255)).max() <= 0.5 + 1e-9
    assert rounded.dtype == np.uint8


def test_what_is_too_fast_for_the_result_aliases_only_where_every_kth_step_is_kept() -> None:
    t = (torch.arange(256) + 0.5) / 256
    fast = (127.5 + 100 * torch.cos(2 * torch.pi * 100 * t)).round()
    spread = {how: resample(fast, 64, how).double().std().item() for how in ("every", "decimate", "bandlimited")}
    assert spread["every"] > 50
    assert spread["decimate"] < 5
    assert spread["bandlimited"] < 1


@pytest.mark.parametrize("how", ["every", "decimate", "bandlimited"])
def test_the_stored_number_of_steps_is_left_alone(how: Resample) -> None:
    levels = torch.from_numpy(noise(33))
    assert torch.equal(resample(levels, 33, how), levels)
    assert torch.equal(resample(levels.double(), 33, how), levels)


@pytest.mark.parametrize("steps", [30, 200])
def test_every_kth_step_needs_a_whole_k(steps: int) -> None:
    message = f"^`steps` must divide 100 for every k-th step to be kept, but is {steps}$"
    with pytest.raises(ArgumentError, match=message):
        resample(torch.zeros(1, 100), steps, "every")


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(ArgumentError, match="^`steps` must be at least 1, but is 0$"):
        resample(torch.zeros(1, 100), 0)
    with pytest.raises(ArgumentError, match="^`how` must be one of every, decimate, bandlimited, but is 'nearest'$"):
        resample(torch.zeros(1, 100), 50, "nearest")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_device_gives_the_same_grey_levels() -> None:
    levels = torch.from_numpy(noise(784))
    for steps in (196, 500, 1568):
        assert torch.equal(resample(levels.cuda(), steps).cpu(), resample(levels, steps))
