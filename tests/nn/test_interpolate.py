"""Laws of kernel interpolation, with Pillow and a closed form as oracles."""

import numpy as np
import pytest
import torch
from PIL import Image

from restool.nn import resample_causal, resample_kernel
from restool.testing import assert_close, relative_error

FILTERS = ["bilinear", "lanczos3"]
PILLOW = {"bilinear": Image.Resampling.BILINEAR, "lanczos3": Image.Resampling.LANCZOS}


def random_kernel(*taps):
    return torch.randn(2, 3, *taps, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize(("ratio", "taps"), [((3, 1), 9), ((5, 3), 15), ((7, 5), 15), ((1, 3), 21), ((3, 5), 15)])
def test_taps_are_those_of_pillow_on_a_kernel_among_zeros(filter_, ratio, taps):
    kernel = random_kernel(taps, taps)[:1, :1]
    scale = ratio[0] / ratio[1]
    actual = resample_kernel(kernel, scale, filter_)[0, 0]
    margin = 30 * ratio[1]  # odd sizes that grow by the ratio keep their middle tap in the middle
    source = np.pad(kernel[0, 0].numpy(), margin).astype(np.float32)
    side = source.shape[0] * ratio[0] // ratio[1]
    resized = np.asarray(Image.fromarray(source).resize((side, side), PILLOW[filter_]), dtype=np.float64)
    cut = (side - actual.shape[0]) // 2
    assert np.abs(resized).sum() == pytest.approx(np.abs(resized[cut:-cut, cut:-cut]).sum(), rel=1e-6)  # all of it
    expected = torch.from_numpy(resized[cut:-cut, cut:-cut].copy()) / scale**2
    assert_close(actual, expected, tolerance=1e-6)  # Pillow computes in float32


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5, 1.75, 2.0, 2.25, 4.0])
def test_a_constant_kernel_stays_constant_inside_and_scales_with_pixel_area(filter_, scale):
    kernel = torch.full((1, 1, 41, 41), 0.7, dtype=torch.float64)
    result = resample_kernel(kernel, scale, filter_)
    reach = int((20 - 3 * max(1, 1 / scale)) * scale)  # taps whose whole filter lies on the kernel
    middle = result.shape[-1] // 2
    inside = result[..., middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    assert_close(inside, torch.full_like(inside, 0.7 / scale**2))


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_whole_scale_preserves_the_sum(filter_, scale):
    # the taps j = phase (mod scale) each draw weights that add up to 1 from a source tap, and there are `scale` phases
    kernel = random_kernel(5, 9)
    assert_close(resample_kernel(kernel, scale, filter_).sum(dim=(2, 3)), kernel.sum(dim=(2, 3)))


@pytest.mark.parametrize(("scale", "tolerance"), [(1.5, 4e-3), (1.75, 4e-3), (2.0, 1e-3), (2.25, 4e-3)])
def test_lanczos_interpolates_a_band_limited_kernel_to_its_values(scale, tolerance):
    def gaussian(reach, step):  # 4 source pixels wide, off the middle
        j = torch.arange(-reach, reach + 1, dtype=torch.float64) * step
        return torch.exp(-0.5 * ((j - 0.3) / 4) ** 2)

    source, errors = gaussian(24, 1.0), {}
    for filter_ in FILTERS:
        result = resample_kernel((source[:, None] * source)[None, None], scale, filter_)[0, 0]
        target = gaussian(result.shape[0] // 2, 1 / scale)
        errors[filter_] = relative_error(result, target[:, None] * target / scale**2)
    assert errors["lanczos3"] < tolerance  # three lobes do not reproduce a slope; half-way between taps they do
    assert errors["lanczos3"] < errors["bilinear"] / 3


@pytest.mark.parametrize("filter_", FILTERS)
def test_a_coarser_grid_loses_what_it_cannot_carry(filter_):
    alternating = (1 - 2 * (torch.arange(33) % 2)).double()
    kernel = (alternating[:, None] * alternating)[None, None]
    result = resample_kernel(kernel, 0.5, filter_) * 0.25
    assert result[..., 6:-6, 6:-6].abs().max() < 0.01
    assert kernel[..., ::2, ::2].abs().max() == 1  # what subsampling alone would give


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("scale", [0.4, 0.5, 1.1, 1.5, 2.0, 2.2, 36 / 16])
@pytest.mark.parametrize("taps", [(1, 1), (3, 3), (17, 5)])
def test_every_axis_stays_odd_with_the_kernel_around_its_middle_tap(filter_, scale, taps):
    kernel = torch.zeros(1, 1, *taps, dtype=torch.float64)
    kernel[0, 0, taps[0] // 2, taps[1] // 2] = 1
    result = resample_kernel(kernel, scale, filter_)[0, 0]
    assert result.shape[0] % 2 == result.shape[1] % 2 == 1
    assert_close(result, result.flip(0, 1))
    assert result.argmax() == result.numel() // 2


@pytest.mark.parametrize("filter_", FILTERS)
def test_scale_one_changes_nothing(filter_):
    kernel = random_kernel(5, 5)
    assert torch.equal(resample_kernel(kernel, 1.0, filter_), kernel)


@pytest.mark.parametrize("filter_", FILTERS)
def test_the_axes_are_resampled_one_by_one(filter_):
    kernel = random_kernel(5, 11)
    transposed = resample_kernel(kernel.transpose(2, 3), 1.75, filter_)
    assert_close(resample_kernel(kernel, 1.75, filter_), transposed.transpose(2, 3))


@pytest.mark.parametrize(
    ("taps", "scale", "message"),
    [
        ((4, 3), 2.0, r"^kernel must be odd along every axis, but has \(4, 3\) taps$"),
        ((3, 3), 0.0, "^scale must be positive, but is 0.0$"),
        ((3, 3), -1.5, "^scale must be positive, but is -1.5$"),
    ],
)
def test_what_cannot_be_resampled_is_rejected(taps, scale, message):
    with pytest.raises(ValueError, match=message):
        resample_kernel(random_kernel(*taps), scale, "lanczos3")


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5, 2.0, 4.0])
def test_a_constant_causal_kernel_stays_constant_from_the_current_step_on(filter_, scale):
    kernel = torch.full((3, 61), 0.7, dtype=torch.float64)
    result = resample_causal(kernel, scale, filter_)
    known = int((60 - 3 * max(1, 1 / scale)) * scale)  # taps whose whole filter lies on the kernel, lag 0 among them
    assert_close(result[:, -known:], torch.full_like(result[:, -known:], 0.7 / scale))


@pytest.mark.parametrize(("scale", "tolerance"), [(1.5, 4e-3), (2.0, 4e-3), (3.0, 4e-3)])
def test_a_smooth_causal_kernel_keeps_its_values_at_every_lag(scale, tolerance):
    def bump(lags):
        return torch.exp(-0.5 * ((lags - 12) / 3) ** 2)

    source = bump(torch.arange(40, dtype=torch.float64)).flip(0)[None]
    found = resample_causal(source, scale, "lanczos3")[0].flip(0)
    assert_close(found, bump(torch.arange(len(found), dtype=torch.float64) / scale) / scale, tolerance=tolerance)


def test_linear_causal_values_are_those_of_numpy_and_the_last_tap_stays_the_current_step():
    kernel = torch.randn(1, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = resample_causal(kernel, 4.0, "bilinear")[0].flip(0)
    values = np.append(kernel[0].flip(0).numpy(), 0.0)  # by lag, 0 beyond the kernel
    assert_close(found, torch.from_numpy(np.interp(np.arange(len(found)) / 4, np.arange(10), values) / 4))
    assert torch.equal(resample_causal(kernel, 1.0, "lanczos3"), kernel)
    with pytest.raises(ValueError, match="scale must be positive, but is 0"):
        resample_causal(kernel, 0, "bilinear")
