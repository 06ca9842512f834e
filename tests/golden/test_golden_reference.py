"""The committed vectors: restool gives them, their script gives them again, and their reference gives official ones."""

import make_vectors
import numpy as np
import pytest
import reference
import torch
from make_vectors import HIDDEN, IMAGE_MASKS, IMAGE_SIZES, LAYERS, REFERENCE_SIZE, SEQUENCE_MASKS, SEQUENCES, TARGETS
from official import fill, flexconv, load, numeric, part
from torch import nn

from restool.aliasing import penalty, report
from restool.kernels import SIREN, FourierNetwork, GaborNetwork, MAGNet
from restool.kernels.coordinates import offset_coordinates, points
from restool.testing import TOLERANCE, assert_close

DTYPES = [torch.float64, torch.float32]
METHODS = ["direct", "fft", "basis", "dft"]
NETWORKS = {"magnet2d": MAGNet, "gabor2d": GaborNetwork, "fourier2d": FourierNetwork, "siren2d": SIREN}


def committed(name):
    return numeric(make_vectors.VECTORS / f"{name}.npz")


def layer(arrays, mask, dtype, *, dims, reference_size=REFERENCE_SIZE):
    """The layer of a file of vectors with one of its masks."""
    state, mask_params = part(arrays, "sd/"), arrays[f"mask/{mask}"]
    return flexconv(state, dims=dims, reference_size=reference_size, mask_params=mask_params).to(dtype)


# restool gives the committed vectors


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_restool_give_the_committed_values(name, dtype):
    arrays, layers = committed(name), {} if name == "siren2d" else {"layers": LAYERS}
    network = NETWORKS[name](2, 2, hidden=HIDDEN, **layers).to(dtype)
    fill(network, part(arrays, "sd/"))
    for size in make_vectors.NETWORK_SIZES[name]:
        axis = offset_coordinates(size, dtype=dtype, device="cpu")
        assert_close(network(points([axis, axis])), arrays[f"output/{size}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("mask", IMAGE_MASKS)
def test_layers_on_images_give_the_committed_kernels_and_outputs(mask, size, dtype):
    arrays = committed("flexconv2d")
    expected, signal = part(arrays, f"{mask}/{size}/"), arrays[f"x{size}"].to(dtype)
    conv = layer(arrays, mask, dtype, dims=2)
    assert_close(conv.sample((size, size)), expected["kernel"])
    for conv.method in METHODS:
        assert_close(conv(signal)[:, :, make_vectors.rows(size)], expected["rows"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("reference_size", "length"), SEQUENCES)
@pytest.mark.parametrize("mask", SEQUENCE_MASKS)
def test_causal_layers_give_the_committed_kernels_and_outputs(mask, reference_size, length, dtype):
    arrays = committed("flexconv1d")
    expected, signal = part(arrays, f"{mask}/{reference_size}/{length}/"), arrays[f"x{length}"].to(dtype)
    conv = layer(arrays, mask, dtype, dims=1, reference_size=reference_size)
    assert_close(conv.sample((length,)), expected["kernel"])
    for conv.method in METHODS:
        assert_close(conv(signal), expected["output"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("target", TARGETS)
def test_frequencies_and_penalty_are_the_committed_ones(target, size, dtype):
    arrays = committed("flexconv2d")
    model = nn.ModuleList(layer(arrays, mask, dtype, dims=2) for mask in IMAGE_MASKS)
    filters = torch.stack([frequencies.filters for frequencies in report(model, size, target)])
    assert_close(filters, arrays[f"frequencies/{target}"])
    assert_close(penalty(model, size, target), arrays[f"penalty/{target}/{size}"])


# the script gives the committed vectors again


def test_the_script_gives_the_committed_arrays_again(tmp_path):
    make_vectors.write(tmp_path)
    written, kept = (
        {path.name: numeric(path) for path in folder.iterdir()} for folder in (tmp_path, make_vectors.VECTORS)
    )
    assert written.keys() == kept.keys()
    for name, arrays in written.items():
        assert arrays.keys() == kept[name].keys()
        for key, array in arrays.items():
            drawn = array.dtype == torch.float32
            assert array.dtype == kept[name][key].dtype
            # another processor may round a sine or an exponential to the other neighbour
            assert_close(array, kept[name][key], tolerance=0 if drawn else 1e-12)


# the reference gives official vectors


def assert_official(actual, expected):
    """Within the tolerance of the official result's dtype, which is that of its rounding."""
    assert_close(torch.from_numpy(np.asarray(actual)), expected, tolerance=TOLERANCE[expected.dtype])


@pytest.mark.parametrize("name", ["magnet2d_17", "magnet2d_29", "magnet1d", "gabor2d", "fourier2d", "siren2d"])
def test_networks_of_the_reference_give_the_official_values(shared, name):
    arrays = load(shared, name)
    function = reference.siren if name == "siren2d" else reference.multiplicative
    positions = arrays["grid"].flatten(2)[0].T.double().numpy()
    values = function(reference.double(part(arrays, "sd/")), positions)
    for output in ("output", "output64"):
        assert_official(values, arrays[output].flatten(2)[0])


@pytest.mark.parametrize(("threshold", "crop"), [(0.1, "crop1"), (0.0, "crop0")])
@pytest.mark.parametrize(("reference_size", "gain"), [(16, "srn1"), (8, "srn025")])
@pytest.mark.parametrize("name", ["h17_s03", "h17_aniso", "edge_h17_neg", "edge_h17_onecrop", "edge_h17_faroff"])
def test_the_reference_gives_official_kernels_and_outputs_of_images(
    shared, name, reference_size, gain, threshold, crop
):
    arrays = load(shared, f"flexconv2d_{name}")
    state, expected = reference.double(part(arrays, "sd/")), part(arrays, f"{crop}_{gain}/")
    kernel = reference.flexconv_kernel(
        part(state, "Kernel."),
        state["mask_params"],
        outputs=len(state["bias"]),
        size=(16, 16),
        reference_size=reference_size,
        threshold=threshold,
    )
    assert_official(kernel, expected["kernel"])
    output = reference.correlate(arrays["x16"].double().numpy(), kernel, state["bias"])
    assert_official(output, expected["out16"])


@pytest.mark.parametrize("mask", ["init", "s03", "s10", "shift", "mid", "past"])
@pytest.mark.parametrize(("name", "length"), [("L64", 64), ("L161_oddfftbug", 161)])
def test_the_reference_gives_official_causal_kernels_and_outputs(shared, name, length, mask):
    arrays = load(shared, f"flexconv1d_causal_{name}")
    state, expected = reference.double(part(arrays, "sd/")), part(arrays, f"{mask}/")
    kernel = reference.flexconv_kernel(
        part(state, "Kernel."),
        expected["mask_params"].double().numpy(),
        outputs=len(state["bias"]),
        size=(length,),
        reference_size=length,
    )
    assert_official(kernel, expected["kernel"])
    output = reference.correlate(arrays["x"].double().numpy(), kernel, state["bias"], causal=True)
    assert_official(output, expected["out_fft0"])


@pytest.mark.parametrize("target", TARGETS)
def test_the_reference_gives_official_frequencies_and_penalties(shared, target):
    arrays = load(shared, "regularizer")
    state = reference.double(part(arrays, "sd/"))
    masks = {key.removesuffix("mask_params"): value for key, value in state.items() if key.endswith("mask_params")}
    layers = [reference.frequencies(part(state, f"{conv}Kernel."), mask, target) for conv, mask in masks.items()]
    expected = arrays[f"freqs/{target}"]
    if target == "gabor+mask":
        expected = expected + arrays["mask_freqs/gabor+mask"][:, None] / 4  # shared by the four filters
    assert_official(np.stack(layers), expected)
    for size in (16, 32):
        assert_official(reference.penalty(layers, size), arrays[f"reg/{target}/together/h{size + 1}"])
