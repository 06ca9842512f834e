"""Names of models from elsewhere, PREFIX:MODEL?KEY=VALUE,..., taken apart."""

import ast
from typing import Any, NamedTuple

from restool.errors import UsageError

LIBRARIES = ("torchvision", "timm")
TRAINED = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "weights")
"""Options that say which weights a library's model comes with."""
INCEPTIONS = ("googlenet", "inception_v3")
"""Of torchvision: their trained weights take images that the model itself normalises once more."""


class LibraryName(NamedTuple):
    """A model of a library as it was named."""

    library: str
    model: str
    options: dict[str, Any]


def library_name(name: str) -> LibraryName | None:
    """The parts of a library's name, None for any other; UsageError where its options cannot be read."""
    library, _, rest = name.partition(":")
    model, asked, options = rest.partition("?")
    if library not in LIBRARIES:
        return None
    return LibraryName(library, model, parse_options(name, options) if asked else {})


def is_code(name: str) -> bool:
    """Whether a name is that of a user's own function, which is imported to build the model."""
    return ":" in name and library_name(name) is None


def comes_trained(name: str) -> bool:
    """Whether a model is named with trained weights."""
    found = library_name(name)
    return found is not None and bool(found.options.get("weights") or found.options.get("pretrained"))


def blank_name(name: str) -> str:
    """The name of the same architecture with weights of its own, which fetches none."""
    found = library_name(name)
    if found is None or not found.options.keys() & set(TRAINED):
        return name
    options = {key: value for key, value in found.options.items() if key not in TRAINED}
    if found.model in INCEPTIONS and comes_trained(name):
        options.setdefault("transform_input", True)
    told = ",".join(f"{key}={value!r}" for key, value in options.items())
    return f"{found.library}:{found.model}" + (f"?{told}" if told else "")


def parse_options(name: str, text: str) -> dict[str, Any]:
    """What follows `?`: Python literals, and bare words as strings; UsageError with the whole name otherwise."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not all(keyword.arg for keyword in call.keywords):
            raise ValueError
        options = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
        if len(options) < max(1, len(call.keywords)):  # none, or one twice
            raise ValueError
        return options
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"what follows ? must be KEY=VALUE,... with Python literals or words, as in ?patch_size=4, but got {name}"
        ) from error


def _literal(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
