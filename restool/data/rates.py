"""Sequences of 8 bits at another number of steps: every k-th step, an antialiased filter, or Fourier interpolation."""

from typing import Literal, get_args

import torch
from torch import Tensor

from restool.arguments import require_choice
from restool.data.resampling import resize_matrix, to_levels
from restool.errors import ArgumentError

Resample = Literal["every", "decimate", "bandlimited"]


def resample(sequences: Tensor, steps: int, how: Resample = "decimate") -> Tensor:
    """Sequences at another number of steps, rounded to grey levels, halves up.

    "every" keeps the last of every k = T / steps steps, k - 1, 2k - 1, ..., and lets what is too fast for the rest
    alias. "decimate" takes the mean under a triangle two steps of the coarser grid wide, which is Pillow's BILINEAR
    along one axis. "bandlimited" is `fourier_resample`. Every product and sum of "decimate" is exact in float64, so
    its result is the same on any device.

    Args:
        sequences: [..., T] whole grey levels 0 to 255 of any dtype.
        steps: steps of the result.
        how: "every", "decimate" or "bandlimited".

    Returns:
        [..., steps] uint8, on the sequences' device.

    Raises:
        ArgumentError: if `how` is none of these, `steps` below 1, or T / steps not whole for "every".
    """
    require_choice("how", how, get_args(Resample))
    length = sequences.shape[-1]
    if steps < 1:
        raise ArgumentError("steps", "must be at least 1", steps)
    if how == "every" and length % steps:
        raise ArgumentError("steps", f"must divide {length} for every k-th step to be kept", steps)
    if steps == length:
        return sequences.to(torch.uint8)
    match how:
        case "every":
            k = length // steps
            return sequences[..., k - 1 :: k].to(torch.uint8)
        case "decimate":
            values = sequences.double() @ resize_matrix(length, steps, sequences.device).T
        case "bandlimited":
            values = fourier_resample(sequences.double(), steps)
    return to_levels(values).to(torch.uint8)


def fourier_resample(sequences: Tensor, steps: int) -> Tensor:
    """The trigonometric polynomial through periodic samples, without what is too fast for the result, sampled anew.

    With X the discrete Fourier transform of T samples and m the lesser of T and n = steps, the result is

        y[j] = 1 / T * sum over |k| <= m / 2 of X[k] exp(2 pi i k j / n).

    Of an even m the frequencies m / 2 and -m / 2 are one in the shorter grid: their sum falls onto it when there are
    fewer steps than before, and each gets half of it when there are more.

    Args:
        sequences: [..., T] floating point.
        steps: steps of the result, at least 1.

    Returns:
        [..., steps].
    """
    length = sequences.shape[-1]
    shorter = min(length, steps)
    spectrum = torch.fft.rfft(sequences)[..., : shorter // 2 + 1]
    if shorter % 2 == 0 and steps != length:
        last = 2.0 if steps < length else 0.5
        spectrum = torch.cat([spectrum[..., :-1], spectrum[..., -1:] * last], dim=-1)
    return torch.fft.irfft(spectrum, n=steps) * (steps / length)
