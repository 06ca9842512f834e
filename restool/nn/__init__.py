"""Modules that sample a kernel for the input they get."""

from restool.nn.batch_last import BatchNorm2d, PointwiseConv2d
from restool.nn.continuous import ContinuousConv
from restool.nn.continuous_kernel import ContinuousKernel
from restool.nn.deformable import DeformableConv
from restool.nn.dilated import GaussianDilatedConv
from restool.nn.fractional import FractionalGaussianConv
from restool.nn.gaussian_derivative import GaussianDerivativeConv, PairwiseGaussianDerivativeConv
from restool.nn.interpolate import resample_causal, resample_kernel
from restool.nn.method import calibrate, use_method
from restool.nn.scaled import Rescalable, Rescaled, ScaledConv
from restool.nn.shared_pass import sampled_together
from restool.nn.together import sample_together
from restool.nn.wide import WideConv2d

__all__ = [
    "BatchNorm2d",
    "ContinuousConv",
    "ContinuousKernel",
    "DeformableConv",
    "FractionalGaussianConv",
    "GaussianDerivativeConv",
    "GaussianDilatedConv",
    "PairwiseGaussianDerivativeConv",
    "PointwiseConv2d",
    "Rescalable",
    "Rescaled",
    "ScaledConv",
    "WideConv2d",
    "calibrate",
    "resample_causal",
    "resample_kernel",
    "sample_together",
    "sampled_together",
    "use_method",
]
