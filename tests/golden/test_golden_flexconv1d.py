"""Causal FlexConv in 1D with official weights, at even and odd lengths."""

import pytest
from official import flexconv, load, part

from restool.testing import assert_close, relative_error

MASKS = ["init", "s03", "s10", "shift", "mid", "past"]


@pytest.mark.parametrize("method", ["direct", "fft", "basis"])
@pytest.mark.parametrize("name", ["L64", "L161_oddfftbug"])
def test_kernel_crop_and_output_are_the_official_ones(shared, name, method):
    arrays = load(shared, f"flexconv1d_causal_{name}")
    length = arrays["x"].shape[-1]
    for mask in MASKS:
        expected = part(arrays, f"{mask}/")
        conv = flexconv(part(arrays, "sd/"), reference_size=length, dims=1, mask_params=expected["mask_params"])
        conv.method = method
        kernel = conv.sample((length,))
        assert kernel.shape[2] == int(expected["crop_len"])
        assert_close(kernel, expected["kernel"])
        assert_close(conv(arrays["x"]), expected["out_fft0"])


@pytest.mark.parametrize("mask", ["s03", "s10", "shift", "mid"])
def test_at_odd_length_our_fft_differs_from_the_official_one_which_is_wrong(shared, mask):
    arrays = load(shared, "flexconv1d_causal_L161_oddfftbug")
    expected = part(arrays, f"{mask}/")
    conv = flexconv(part(arrays, "sd/"), reference_size=161, dims=1, mask_params=expected["mask_params"])
    conv.method = "fft"
    assert relative_error(conv(arrays["x"]), expected["out_fft1"]) > 0.05
    assert relative_error(expected["out_fft0"], expected["out_fft1"]) > 0.05
