"""The systems under test, one file per family."""

from restool.models.dcn import DCN, ConvergenceError, Solver
from restool.models.flexnet import FlexNet
from restool.models.njet import NJetAllCNN, njet_resnet
from restool.models.registry import MODELS, ModelEntry, ModelSpec, build_model, find_model
from restool.models.resnet import CIFARResNet
from restool.models.tcn import FlexTCN

__all__ = [
    "DCN",
    "MODELS",
    "CIFARResNet",
    "ConvergenceError",
    "FlexNet",
    "FlexTCN",
    "ModelEntry",
    "ModelSpec",
    "NJetAllCNN",
    "Solver",
    "build_model",
    "find_model",
    "njet_resnet",
]
