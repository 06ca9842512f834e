"""One kernel at three times its size, enlarged in three ways: what `restool.report.enlargement` draws."""

import torch

from restool.kernels import GaussianMask, MAGNet
from restool.nn import ContinuousConv, GaussianDilatedConv
from restool.report.enlargement import RATIO, TAPS, SampledKernel

INPUT_SCALE, MASK_SIGMA = 16.0, 0.4
"""With these, about 99 % of the energy of the kernel of seed 0 lies below the source grid's Nyquist frequency."""
FINE = 8
"""So many samples per target pixel stand for the continuous kernel."""


def example_layer(seed: int) -> ContinuousConv:
    """A freshly initialised masked MAGNet of one channel, in float64, without the constant of its last layer."""
    torch.manual_seed(seed)
    network = MAGNet(2, 1, input_scale=INPUT_SCALE)
    torch.nn.init.zeros_(network.output.bias)
    mask = GaussianMask(2, sigma=MASK_SIGMA, threshold=0.0)
    return ContinuousConv(1, 1, kernel=network, mask=mask, reference_size=TAPS).double()


@torch.no_grad()
def enlarge(layer: ContinuousConv) -> dict[str, SampledKernel]:
    """The kernel of a layer at `RATIO` times its size, by name, and, as `continuous`, sampled more finely than is used.

        dilation     sum_k K[k] g(x - RATIO k), g a Gaussian of half a source pixel (Shelhamer et al. 2019)
        deformation  sum_k K[k] delta(x - RATIO k), as offsets move taps apart (Dai et al. 2017)
        requery      psi(x) w(x) times the area of a pixel (Romero et al. 2022a)

    K are the taps on the source grid, x counts target pixels, g sums to 1.
    """
    taps = layer.sample((TAPS, TAPS))
    dilated = GaussianDilatedConv(1, 1, taps=TAPS).double()
    dilated.weight.copy_(taps)
    apart = torch.zeros(RATIO * (TAPS - 1) + 1, RATIO * (TAPS - 1) + 1, dtype=taps.dtype)
    apart[::RATIO, ::RATIO] = taps[0, 0]
    kernels = {
        "continuous": (layer.sample((FINE * RATIO * TAPS,) * 2)[0, 0], 1 / (FINE * RATIO)),
        "dilation": (dilated.at_scale(RATIO).discrete_kernel().dense()[0, 0], 1 / RATIO),
        "deformation": (apart, 1 / RATIO),
        "requery": (layer.sample((RATIO * TAPS,) * 2)[0, 0], 1 / RATIO),
    }
    return {name: SampledKernel(values.numpy(), spacing) for name, (values, spacing) in kernels.items()}
