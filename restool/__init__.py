"""restool: what happens to a model trained at one resolution when it is used at another?

`restool.build_model` and the subpackages are loaded at first use, so that `restool --help` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restool.models import build_model

__version__ = "0.1.0"
__all__ = ["__version__", "build_model"]

_SUBPACKAGES = {
    "aliasing", "bench", "cli", "data", "errors", "interop", "kernels", "models", "nn", "report", "testing", "training",
    "transfer",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "build_model":
        return import_module("restool.models").build_model
    if name in _SUBPACKAGES:
        return import_module(f"restool.{name}")
    raise AttributeError(f"module 'restool' has no attribute {name!r}")
