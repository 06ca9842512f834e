"""Continuous functions of coordinates: no pixel and no image is known here."""

from restool.kernels.base import KernelNetwork
from restool.kernels.mask import GaussianMask
from restool.kernels.multiplicative import FourierNetwork, GaborNetwork, MAGNet
from restool.kernels.siren import SIREN, NormedSIREN

__all__ = ["SIREN", "FourierNetwork", "GaborNetwork", "GaussianMask", "KernelNetwork", "MAGNet", "NormedSIREN"]
