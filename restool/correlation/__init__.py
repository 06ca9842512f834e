"""The correlation engine: signals with kernels as large as they are, by the cheapest method; knows no layer."""

from restool.correlation.cost import Choice
from restool.correlation.engine import METHODS, Method, choose_method, correlate, prepare
from restool.correlation.factored import FactoredKernel
from restool.correlation.prepared import PreparedKernel
from restool.correlation.rates import RATES

__all__ = [
    "METHODS",
    "RATES",
    "Choice",
    "FactoredKernel",
    "Method",
    "PreparedKernel",
    "choose_method",
    "correlate",
    "prepare",
]
