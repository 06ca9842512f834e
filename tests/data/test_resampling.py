import numpy as np
import pytest
import torch
from PIL import Image

from restool.data.resampling import resize


def patterns(size: int) -> np.ndarray:
    """Noise, saturated noise, a checkerboard, a step and an impulse: uint8 [6, size, size]."""
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size), dtype=np.uint8)
    rows, columns = np.indices((size, size))
    shapes = [(rows + columns) % 2, columns >= size // 2, (rows == 0) & (columns == size - 1)]
    return np.concatenate([noise, [255 * (noise[0] > 127), *(255 * shape for shape in shapes)]]).astype(np.uint8)


@pytest.mark.parametrize("source", [28, 32])
@pytest.mark.parametrize("target", range(8, 65))
def test_resize_is_pillows_bilinear(source: int, target: int) -> None:
    images = patterns(source)
    expected = np.stack([Image.fromarray(i).resize((target, target), Image.Resampling.BILINEAR) for i in images])
    np.testing.assert_array_equal(resize(torch.from_numpy(images), target).numpy(), expected)


@pytest.mark.parametrize("source", [16, 32])
@pytest.mark.parametrize("target", [8, 15, 20, 24, 31, 36, 64])
def test_bicubic_is_pillows_too(source: int, target: int) -> None:
    images = patterns(source)
    expected = np.stack([Image.fromarray(i).resize((target, target), Image.Resampling.BICUBIC) for i in images])
    np.testing.assert_array_equal(resize(torch.from_numpy(images), target, "bicubic").numpy(), expected)


def test_leading_axes_are_independent() -> None:
    images = torch.from_numpy(patterns(32)).reshape(2, 3, 32, 32)
    each = torch.stack([torch.stack([resize(channel, 20) for channel in image]) for image in images])
    assert torch.equal(resize(images, 20), each)


def test_the_stored_size_is_left_alone() -> None:
    images = torch.from_numpy(patterns(32))
    assert torch.equal(resize(images, 32), images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_device_gives_the_same_grey_levels() -> None:
    images = torch.from_numpy(patterns(32))
    for size in (16, 28, 36):
        assert torch.equal(resize(images.cuda(), size).cpu(), resize(images, size))
