"""Modules that sample a kernel for the input they get."""

from restool.nn.continuous import ContinuousConv, use_method
from restool.nn.correlate import correlate
from restool.nn.factored import FactoredKernel
from restool.nn.interpolate import resample_kernel

__all__ = ["ContinuousConv", "FactoredKernel", "correlate", "resample_kernel", "use_method"]
