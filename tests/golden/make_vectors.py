"""Write the committed vectors: inputs and parameters from a fixed seed, and what the reference makes of them.

    python tests/golden/make_vectors.py

What was drawn is kept in float32, what was computed from it in float64. Parameters have the names of the official code.
"""

import math
from pathlib import Path

import numpy as np
import reference
from numpy.random import RandomState  # its streams never change
from numpy.typing import NDArray

VECTORS = Path(__file__).resolve().parent / "vectors"

HIDDEN, LAYERS, REFERENCE_SIZE = 5, 2, 16
TARGETS = ("gabor", "gabor+mask")

NETWORK_SIZES = {"magnet2d": (8, 13), "gabor2d": (8,), "fourier2d": (8,), "siren2d": (8,)}

IMAGE_SIZES = (16, 32)
IMAGE_MASKS = {  # (mean, sigma) along y and x
    "cropped": ((0.0, 0.15), (0.0, 0.15)),
    "uncropped": ((0.0, 0.6), (0.0, 0.6)),
    "anisotropic": ((0.0, 0.1), (0.0, 0.4)),
    "off_centre": ((0.15, 0.1), (-0.1, -0.15)),
}

SEQUENCES = ((16, 16), (15, 15), (15, 30), (16, 8), (14, 7))  # reference length, length
SEQUENCE_MASKS = {
    "newest": ((1.0, 0.1),),
    "uncropped": ((1.0, 1.0),),
    "off_centre": ((0.6, -0.3),),
    "past_the_end": ((1.3, 0.1),),
}


def draw(random: RandomState, bound: float, *shape: int) -> NDArray[np.float32]:
    """Numbers from U(-bound, bound)."""
    return random.uniform(-bound, bound, shape).astype(np.float32)


def draw_linear(random: RandomState, name: str, inputs: int, outputs: int, weight: float, bias: float) -> dict:
    """Weight and bias of a linear layer, with their bounds."""
    return {f"{name}.weight": draw(random, weight, outputs, inputs), f"{name}.bias": draw(random, bias, outputs)}


def draw_multiplicative(random: RandomState, dims: int, outputs: int, widths: int) -> dict:
    """Parameters of a multiplicative network.

    Args:
        random: where numbers come from.
        dims: coordinates of a point.
        outputs: values at a point.
        widths: inverse widths of every response: one per axis in a MAGNet, 1 in a Gabor, 0 in a Fourier network.
    """
    network = {}
    for index in range(LAYERS + 1):
        filter_ = f"filters.{index}"
        network |= draw_linear(random, f"{filter_}.linear", dims, HIDDEN, 16 / (index + 1), math.pi)
        if widths:
            network[f"{filter_}.mu"] = draw(random, 0.5, HIDDEN, dims)
            network[f"{filter_}.gamma"] = draw(random, 2 / (index + 1), HIDDEN, widths)
    bound = 1 / math.sqrt(HIDDEN)
    for index in range(LAYERS):
        network |= draw_linear(random, f"linear.{index}", HIDDEN, HIDDEN, bound, bound)
    return network | draw_linear(random, "output_linear", HIDDEN, outputs, bound, bound)


def draw_siren(random: RandomState, dims: int, outputs: int) -> dict:
    """Parameters of a SIREN."""
    bound = math.sqrt(6 / HIDDEN) / 30
    return (
        draw_linear(random, "kernel_net.0", dims, HIDDEN, 1 / dims, 1 / math.sqrt(dims))
        | draw_linear(random, "kernel_net.2", HIDDEN, HIDDEN, bound, 1 / math.sqrt(HIDDEN))
        | draw_linear(random, "kernel_net.4", HIDDEN, outputs, bound, 1 / math.sqrt(HIDDEN))
    )


def network_vectors(name: str) -> dict:
    """Parameters of a network `sd/*`, and its values on the offsets of n x n pixels `output/n`, [outputs, P]."""
    random, dims, outputs = RandomState(0), 2, 2
    if name == "siren2d":
        network, function = draw_siren(random, dims, outputs), reference.siren
    else:
        widths = {"magnet2d": dims, "gabor2d": 1, "fourier2d": 0}[name]
        network, function = draw_multiplicative(random, dims, outputs, widths), reference.multiplicative
    arrays = below("sd/", network)
    for size in NETWORK_SIZES[name]:
        points = reference.grid([reference.offsets(size)] * dims)
        arrays[f"output/{size}"] = function(reference.double(network), points)
    return arrays


def draw_layer(random: RandomState, dims: int, inputs: int, outputs: int) -> tuple[dict, dict]:
    """A MAGNet for a layer, and the arrays `sd/*` of the layer."""
    network, bias = draw_multiplicative(random, dims, outputs * inputs, dims), draw(random, 1, outputs)
    return reference.double(network), {"sd/bias": bias} | below("sd/Kernel.", network)


def flexconv2d_vectors() -> dict:
    """A layer `sd/*`, signals `x{n}`, and for every mask and n the kernel and a few `rows` of the output.

    With them are the frequencies of every mask's layer [masks, filters] and the penalty of a model of all these layers.
    """
    random, channels = RandomState(1), 2
    network, arrays = draw_layer(random, 2, channels, channels)
    bias = arrays["sd/bias"].astype(np.float64)
    for size in IMAGE_SIZES:
        arrays[f"x{size}"] = draw(random, 1, 1, channels, size, size)
    masks = {name: np.array(mask, dtype=np.float32) for name, mask in IMAGE_MASKS.items()}
    arrays |= below("mask/", masks)
    masks = reference.double(masks)
    for name, mask in masks.items():
        for size in IMAGE_SIZES:
            kernel = reference.flexconv_kernel(
                network, mask, outputs=channels, size=(size, size), reference_size=REFERENCE_SIZE
            )
            output = reference.correlate(arrays[f"x{size}"].astype(np.float64), kernel, bias)
            arrays |= {f"{name}/{size}/kernel": kernel, f"{name}/{size}/rows": output[:, :, rows(size)]}
    for target in TARGETS:
        layers = [reference.frequencies(network, mask, target) for mask in masks.values()]
        arrays[f"frequencies/{target}"] = np.stack(layers)
        for size in IMAGE_SIZES:
            arrays[f"penalty/{target}/{size}"] = np.array(reference.penalty(layers, size))
    return arrays


def rows(size: int) -> list[int]:
    """The rows of an output that are kept, which saves space: the first, the middle and the last one."""
    return [0, size // 2, size - 1]


def flexconv1d_vectors() -> dict:
    """A causal layer `sd/*`, signals `x{length}`, and for every mask, reference length and length kernel and output."""
    random, channels = RandomState(2), 2
    network, arrays = draw_layer(random, 1, channels, channels)
    bias = arrays["sd/bias"].astype(np.float64)
    for _, length in SEQUENCES:
        arrays[f"x{length}"] = draw(random, 1, 1, channels, length)
    for name, mask in SEQUENCE_MASKS.items():
        arrays[f"mask/{name}"] = np.array(mask, dtype=np.float32)
        for reference_size, length in SEQUENCES:
            kernel = reference.flexconv_kernel(
                network,
                arrays[f"mask/{name}"].astype(np.float64),
                outputs=channels,
                size=(length,),
                reference_size=reference_size,
            )
            output = reference.correlate(arrays[f"x{length}"].astype(np.float64), kernel, bias, causal=True)
            case = f"{name}/{reference_size}/{length}"
            arrays |= {f"{case}/kernel": kernel, f"{case}/output": output}
    return arrays


def below(prefix: str, arrays: dict) -> dict:
    """The arrays with a prefix to their names."""
    return {prefix + name: array for name, array in arrays.items()}


def write(folder: Path) -> None:
    """Write every file of vectors into a folder."""
    files = {name: network_vectors(name) for name in NETWORK_SIZES}
    files |= {"flexconv2d": flexconv2d_vectors(), "flexconv1d": flexconv1d_vectors()}
    for name, arrays in files.items():
        np.savez_compressed(folder / f"{name}.npz", **arrays)


if __name__ == "__main__":
    write(VECTORS)
