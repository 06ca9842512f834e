"""Analytic images: plane waves, whose response to any kernel is known, sampled on grids of any fineness."""

import math

import torch
from torch import Tensor

FREQUENCIES = ((0.5, -0.3), (0.2, 0.7))  # radians per training pixel, along y and x
PHASE = 0.4


def plane_wave(frequency: tuple[float, float], size: int, scale: float) -> Tensor:
    """exp(i (w . p + phase)) at pixel j = scale p of [size, size] pixels around the middle: float64 [1, 2, n, n].

    The channels are its real and imaginary part.
    """
    p = (torch.arange(size, dtype=torch.float64) - size // 2) / scale
    angle = frequency[0] * p[:, None] + frequency[1] * p + PHASE
    return torch.stack([angle.cos(), angle.sin()])[None]


def middle(response: Tensor) -> complex:
    """Value in the middle of real and imaginary part [1, 2, n, n], without the wave's own phase there."""
    size = response.shape[-1]
    real, imaginary = response[0, :, size // 2, size // 2].tolist()
    return complex(real, imaginary) * complex(math.cos(PHASE), -math.sin(PHASE))


def response(layer: torch.nn.Module, frequency: tuple[float, float], scale: float, size: int = 129) -> complex:
    """What a layer of one input and one output channel makes of a wave, in the middle of a large image."""
    wave = plane_wave(frequency, size, scale).transpose(0, 1)  # real and imaginary part as two images
    with torch.no_grad():
        return middle(layer(wave).transpose(0, 1))
