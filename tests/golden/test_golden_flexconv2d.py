"""FlexConv in 2D with official weights: kernel, crop, output and gradients."""

import pytest
import torch
from official import flexconv, load, official_names, part

from restool.correlation import correlate
from restool.testing import assert_close

LAYERS = ["h17_init", "h17_s03", "h17_aniso", "h17_s10", "h33_init", "h33_aniso"]
EDGES = ["h17_neg", "h17_onecrop", "h17_onecrop2", "h17_tiny", "h17_faroff", "h33_onecrop", "h33_tiny"]
GAINS = {"srn1": 1.0, "srn025": 0.25}


@pytest.mark.parametrize("method", ["direct", "fft", "basis"])
@pytest.mark.parametrize("name", [*LAYERS, *(f"edge_{edge}" for edge in EDGES)])
def test_kernel_crop_and_output_are_the_official_ones(shared, name, method):
    arrays = load(shared, f"flexconv2d_{name}")
    size = int(arrays["horizon"]) - 1
    for threshold, crop in ((0.1, "crop1"), (0.0, "crop0")):
        for gain, factor in GAINS.items():
            expected = part(arrays, f"{crop}_{gain}/")
            reference_size = int(size * factor**0.5)  # the gain in 2D is (reference / n)^2
            conv = flexconv(part(arrays, "sd/"), reference_size=reference_size, dims=2, threshold=threshold)
            conv.method = method
            factored = conv.factored((size, size))
            kernel = factored.dense()
            assert kernel.shape[2:] == tuple(expected["crop_hw"])
            assert_close(kernel, expected["kernel"])
            assert_close(conv(arrays[f"x{size}"]), expected[f"out{size}"])
            for other in (16, 32):  # the official layer keeps its first kernel at every later size
                output = correlate(arrays[f"x{other}"], factored, conv.bias, method=method)
                assert_close(output, expected[f"out{other}"])


@pytest.mark.parametrize("method", ["direct", "fft", "basis"])
@pytest.mark.parametrize("name", ["h17_s03", "h33_s03"])
@pytest.mark.parametrize(("dtype", "prefix"), [(torch.float32, "grad/"), (torch.float64, "grad64/")])
def test_gradients_are_the_official_ones(shared, name, method, dtype, prefix):
    arrays = load(shared, f"flexconv2d_grad_{name}")
    conv = flexconv(part(arrays, "sd/"), reference_size=int(arrays["horizon"]) - 1, dims=2).to(dtype)
    conv.method = method
    signal = arrays["x"].to(dtype).requires_grad_()
    output = conv(signal)
    loss = (output * arrays["w"].to(dtype)).sum() / output.numel() ** 0.5
    loss.backward()

    assert_close(loss, arrays["loss" if dtype == torch.float32 else "loss64"])
    assert_close(output, arrays["out"], tolerance=1e-5)  # the file has this and the next in float32 only
    assert_close(signal.grad, arrays["grad_x"], tolerance=1e-5)
    expected = part(arrays, prefix)
    assert_close(conv.bias.grad, expected["bias"])
    assert_close(torch.stack([conv.mask.mean.grad, conv.mask.sigma.grad], dim=1), expected["mask_params"])
    for official, parameter in official_names(conv.kernel).items():
        assert_close(parameter.grad, expected[f"Kernel.{official}"].reshape(parameter.shape))
