"""The systems under test, one file per family."""

from restool.models.flexnet import FlexNet
from restool.models.registry import MODELS, ModelEntry, ModelSpec, build_model, find_model
from restool.models.resnet import CIFARResNet
from restool.models.tcn import FlexTCN

__all__ = [
    "MODELS",
    "CIFARResNet",
    "FlexNet",
    "FlexTCN",
    "ModelEntry",
    "ModelSpec",
    "build_model",
    "find_model",
]
