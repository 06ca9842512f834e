"""restool: what happens to a model trained at one resolution when it is used at another?

    config = restool.StudyConfig(train=[16], test=range(28, 37))
    result = restool.sweep(config, "results/local")
    print(result)

Names and subpackages are loaded at first use, so that the command line's help needs no torch.
"""

from importlib import import_module
from typing import Any

from restool.version import __version__

_HOMES = {
    "Recipe": "restool.recipe",
    "StudyConfig": "restool.transfer",
    "build_model": "restool.models",
    "evaluate_model": "restool.transfer",
    "results": "restool.report",
    "sweep": "restool.transfer",
    "train_sources": "restool.transfer",
}
"""The names of this package that are defined in others."""
_SUBPACKAGES = {
    "aliasing", "analysis", "bench", "cli", "correlation", "data", "diagnosis", "errors", "evidence", "interop",
    "kernels", "models", "nn", "recipe", "report", "studies", "testing", "training", "transfer",
}  # fmt: skip

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _SUBPACKAGES:
        return import_module(f"restool.{name}")
    raise AttributeError(f"module 'restool' has no attribute {name!r}")
