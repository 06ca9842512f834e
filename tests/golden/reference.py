"""FlexConv and its parts in plain NumPy, straight from the formulas: the oracle that a clone carries along.

Nothing here is fast, and nothing comes from restool or PyTorch. Parameters are float64 arrays under the names of the
official code; coordinates and mask parameters are in order (y, x). P is a number of points, D of axes, H of hidden
functions.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Arrays = dict[str, Array]


def double(arrays: Mapping[str, ArrayLike]) -> Arrays:
    """The same arrays in float64."""
    return {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}


# coordinates


def offsets(n: int) -> Array:
    """Coordinates of the pixel offsets of an axis of n pixels, which spans [-1, 1]: 2j/n for |j| <= n // 2."""
    return np.array([2 * j / n for j in range(-(n // 2), n // 2 + 1)])


def lags(length: int, reference: int) -> Array:
    """Coordinates of the lags of a causal kernel, oldest first: 1 - 2t / ((reference - 1) r), those within [-1, 1].

    The rate is r = length / reference. At r = 1 these are `length` points from -1 to 1.
    """
    coordinates = [1 - Fraction(2 * t * reference, (reference - 1) * length) for t in reversed(range(length))]
    return np.array([float(coordinate) for coordinate in coordinates if coordinate >= -1])


def grid(axes: Sequence[Array]) -> Array:
    """Every combination of the axes' coordinates, the last axis fastest: [P, D]."""
    return np.stack([coordinates.ravel() for coordinates in np.meshgrid(*axes, indexing="ij")], axis=1)


# kernel networks


def linear(network: Arrays, name: str, values: Array) -> Array:
    """W v + b of a layer that the official code keeps as a convolution by one tap: [P, I] -> [P, O]."""
    weight = network[f"{name}.weight"]
    return values @ weight.reshape(len(weight), -1).T + network[f"{name}.bias"]


def filter_response(network: Arrays, index: int, points: Array) -> Array:
    """f_l(p) = exp(-1/2 sum_d (gamma_d (p_d - mu_d))^2) sin(W p + b), of a Fourier network the sine only.

    gamma is [H, D] in a MAGNet and [H, 1] in a Gabor network.

    Args:
        network: parameters of the network.
        index: l.
        points: [P, D].

    Returns:
        [P, H].
    """
    sine = np.sin(linear(network, f"filters.{index}.linear", points))
    if f"filters.{index}.gamma" not in network:
        return sine
    gamma, mu = network[f"filters.{index}.gamma"], network[f"filters.{index}.mu"]
    deviations = gamma * (points[:, None, :] - mu)  # [P, H, D]
    return np.exp(-0.5 * (deviations**2).sum(axis=2)) * sine


def filters(network: Arrays) -> int:
    """Number of filters of a multiplicative network, one more than hidden linear layers."""
    return sum(name.endswith(".linear.weight") for name in network)


def multiplicative(network: Arrays, points: Array) -> Array:
    """MAGNet, Gabor and Fourier network: z_0 = f_0(p), z_l = f_l(p) (W_l z_{l-1} + b_l), psi = W_out z_L + b_out.

    Args:
        network: parameters of the network; `linear.{l-1}` belongs to z_l.
        points: [P, D].

    Returns:
        [outputs, P].
    """
    values = filter_response(network, 0, points)
    for index in range(1, filters(network)):
        values = filter_response(network, index, points) * linear(network, f"linear.{index - 1}", values)
    return linear(network, "output_linear", values).T


def siren(network: Arrays, points: Array, omega_0: float = 30.0) -> Array:
    """SIREN: y = sin(omega_0 (W x + b)) twice, psi = W_out y + b_out; [P, D] -> [outputs, P]."""
    values = np.sin(omega_0 * linear(network, "kernel_net.0", points))
    values = np.sin(omega_0 * linear(network, "kernel_net.2", values))
    return linear(network, "kernel_net.4", values).T


# the mask and what it leaves


def gaussian(mask_params: Array, points: Array) -> Array:
    """w(p) = prod_d exp(-1/2 ((p_d - m_d) / s_d)^2): rows (m_d, s_d) [D, 2], points [P, D] -> [P]."""
    means, sigmas = mask_params.T
    return np.exp(-0.5 * (((points - means) / sigmas) ** 2).sum(axis=1))


def mask_ends(mean: float, sigma: float, threshold: float) -> tuple[float, float]:
    """Where a mask falls to the threshold: m -+ t s with t = sqrt(-2 ln threshold); s may be negative."""
    reach = math.sqrt(-2 * math.log(threshold)) * sigma
    return mean - reach, mean + reach


def centered_crop(mean: float, sigma: float, axis: Array, threshold: float) -> slice:
    """Taps of a `same` kernel to keep along an axis: from the first with -root < p on, and as many on the right.

    The root is max(|m - t s|, |m + t s|); the whole axis is kept from root 1 on, and at threshold 0.
    """
    if threshold == 0:
        return slice(None)
    root = max(abs(end) for end in mask_ends(mean, sigma, threshold))
    if root >= 1:
        return slice(None)
    first = next(index for index, coordinate in enumerate(axis) if -root < coordinate)
    return slice(first, len(axis) - first)


def causal_crop(mean: float, sigma: float, axis: Array, threshold: float) -> slice:
    """Lags of a causal kernel to keep: those with p > root, root = min(m - t s, m + t s); all unless |root| < 1."""
    if threshold == 0:
        return slice(None)
    root = min(mask_ends(mean, sigma, threshold))
    if abs(root) >= 1:
        return slice(None)
    return slice(next(index for index, coordinate in enumerate(axis) if coordinate > root), None)


# the layer


def flexconv_kernel(
    network: Arrays,
    mask_params: Array,
    *,
    outputs: int,
    size: tuple[int, ...],
    reference_size: int,
    threshold: float = 0.1,
) -> Array:
    """The discrete kernel K[o, i, j] = g psi_{o I + i}(p_j) w(p_j) on the taps that the mask leaves.

    The gain g is the product over the axes of reference_size / n. The kernel is causal in 1D, centred in 2D.

    Args:
        network: parameters of the multiplicative network psi, which has O * I outputs.
        mask_params: (mean, sigma) of every axis, [D, 2].
        outputs: O.
        size: of the input, (n,) or (height, width).
        reference_size: of the input in training, along every axis.
        threshold: taps where the mask is below it are left out, by the official rule.

    Returns:
        [O, I, *K].
    """
    crop = causal_crop if len(size) == 1 else centered_crop
    whole = [lags(size[0], reference_size)] if len(size) == 1 else [offsets(n) for n in size]
    axes = [axis[crop(mean, sigma, axis, threshold)] for axis, (mean, sigma) in zip(whole, mask_params, strict=True)]
    points = grid(axes)
    gain = math.prod(reference_size / n for n in size)
    values = gain * multiplicative(network, points) * gaussian(mask_params, points)
    return values.reshape(outputs, -1, *(len(axis) for axis in axes))


def correlate(signal: Array, kernel: Array, bias: Array, *, causal: bool = False) -> Array:
    """Cross-correlation with zeros around the signal, summed tap by tap.

    y[i] = b + sum_k K[k] x[i + k - before], where `before` is K - 1 of a causal kernel and (K - 1) / 2 of an odd one.

    Args:
        signal: [B, I, *n].
        kernel: [O, I, *K].
        bias: [O].
        causal: whether the last tap meets the current step.

    Returns:
        [B, O, *n].
    """
    size, taps = signal.shape[2:], kernel.shape[2:]
    padding = [(k - 1, 0) if causal else (k // 2, k // 2) for k in taps]
    padded = np.pad(signal, [(0, 0), (0, 0), *padding])
    output = np.zeros((len(signal), len(kernel), *size)) + bias.reshape(-1, *[1] * len(size))
    for tap in np.ndindex(*taps):
        met = tuple(slice(k, k + n) for k, n in zip(tap, size, strict=True))
        output += np.einsum("oi,bi...->bo...", kernel[(..., *tap)], padded[(..., *met)])
    return output


# aliasing


def filter_frequencies(network: Arrays) -> Array:
    """Frequency of every filter of a MAGNet, in cycles per unit: max |W| / 2 pi + 2 max |gamma| / 2 pi, [F].

    Each maximum is over all responses and axes, so the two may come from different responses.
    """
    largest = [
        np.abs(network[f"filters.{index}.linear.weight"]).max() + 2 * np.abs(network[f"filters.{index}.gamma"]).max()
        for index in range(filters(network))
    ]
    return np.array(largest) / (2 * math.pi)


def mask_frequency(mask_params: Array) -> float:
    """Bandwidth of a mask, in cycles per unit: 2 / (2 pi min_d |s_d|)."""
    return 2 / (2 * math.pi * np.abs(mask_params[:, 1]).min())


def frequencies(network: Arrays, mask_params: Array, target: str) -> Array:
    """What a layer's filters put against the limit; for "gabor+mask" each bears its share of the mask's bandwidth, [F].

    Args:
        network: parameters of a MAGNet.
        mask_params: (mean, sigma) of every axis, [D, 2].
        target: "gabor" or "gabor+mask".
    """
    own = filter_frequencies(network)
    return own + mask_frequency(mask_params) / len(own) if target == "gabor+mask" else own


def penalty(layers: Sequence[Array], size: int, strength: float = 0.1) -> float:
    """The sum over layers and filters of strength * relu(f - (n / 4) / F)^2; n / 4 is Nyquist of n pixels.

    Args:
        layers: the `frequencies` of every layer.
        size: n.
        strength: factor of the whole.
    """
    return strength * sum((np.maximum(layer - size / 4 / len(layer), 0) ** 2).sum() for layer in layers)
