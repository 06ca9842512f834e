"""Laws of images made as soft as those of the source."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from torch import nn

from restool.models import build_model
from restool.transfer import resolve_protocol
from restool.transfer.recalibration import recalibrate
from restool.transfer.softening import Soften

SCALES = [1.25, 1.75, 2.0, 2.25, 4.0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dims", [1, 2])
def test_images_are_filtered_by_a_gaussian_of_the_variance_that_the_source_has_more(scale, dims):
    images = torch.randn(2, 3, *(61, 47)[:dims], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected, deviation = images.numpy(), math.sqrt((scale**2 - 1) / 6)
    for axis in range(2, 2 + dims):
        blurred, share = (  # nothing lies beyond the border
            gaussian_filter1d(x, deviation, axis, truncate=12, mode="constant")
            for x in (expected, np.ones_like(expected))
        )
        expected = blurred / share
    np.testing.assert_allclose(Soften(scale)(images).numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cycles", [3, 5, 7])
@pytest.mark.parametrize("target", [28, 32, 36, 64])
def test_a_picture_has_the_contrast_at_the_target_that_it_has_at_the_source(cycles, target):
    fine = np.cos(2 * np.pi * cycles * (np.arange(1024) + 0.5) / 1024)[None].astype(np.float32)

    def shown(size):
        row = Image.fromarray(fine).resize((size, 1), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(row)).double()[None]  # [1, 1, size]

    def contrast(row, margin):
        """Amplitude of the wave, away from the borders."""
        size = row.shape[-1]
        angle = 2 * math.pi * cycles * (torch.arange(size, dtype=torch.float64) + 0.5) / size
        inside = slice(margin, size - margin)
        waves = torch.stack([angle.cos(), angle.sin()], 1)[inside]
        return torch.linalg.lstsq(waves, row[0, 0, inside, None]).solution.norm().item()

    coarse, sharp = contrast(shown(16), 1), contrast(shown(target), target // 16)
    soft = contrast(Soften(target / 16)(shown(target)), target // 8)
    assert abs(soft - coarse) < 0.04
    assert abs(soft - coarse) < 0.25 * (sharp - coarse)


def test_the_protocol_softens_finer_images_and_leaves_the_others():
    torch.manual_seed(0)
    model = build_model("flexnet[3,4]", reference_size=8).eval()
    for target in (6, 8, 14):
        images = torch.rand(5, 3, target, target)
        plain, soft = (resolve_protocol(n).apply(model, 8, target) for n in ("requery", "requery+soften"))
        expected = plain(Soften(14 / 8)(images) if target == 14 else images)
        torch.testing.assert_close(soft(images), expected)
        assert torch.allclose(plain(images), expected) == (target != 14)
        assert not soft.training


def test_statistics_are_estimated_anew_from_softened_images():
    torch.manual_seed(0)
    model = build_model("flexnet[3,4]", reference_size=8).eval()
    images = torch.rand(5, 3, 14, 14)
    found = resolve_protocol("bandlimit+soften+bn-recalibrate").apply(model, 8, 14, calibration=[images])
    expected = resolve_protocol("bandlimit").apply(model, 8, 14)
    recalibrate(expected, [Soften(14 / 8)(images)])
    norms = [[m for m in one.modules() if isinstance(m, nn.BatchNorm2d)] for one in (found, expected)]
    assert len(norms[0]) == 3
    for one, other in zip(*norms, strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean)
        torch.testing.assert_close(one.running_var, other.running_var)
