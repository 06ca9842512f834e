"""Reads checkpoints of the official FlexConv code (rjbruin/flexconv): FlexNet in 2D, FlexTCN in 1D.

The architecture follows from names and shapes of the tensors. Not in the file, and so an argument, is the size it was
trained at. Left out are the official buffers of a current resolution (`train_length`), which restool does not have.
"""

import re
from pathlib import Path

from torch import nn

from restool.arguments import knobs, require_value
from restool.errors import UsageError
from restool.interop.state import State, read_state
from restool.interop.wrappers import unwrapped
from restool.models.registry import ModelSpec, shell_name

_RENAMES = [  # (pattern, replacement), all applied in this order
    (r"^cconv1\.", "stem."),
    (r"^norm1\.", "stem_norm."),
    (r"^backbone\.", "blocks."),
    (r"^(out_layer|finallyr)\.", "head."),
    (r"\.cconv([12])\.", r".conv\1."),
    (r"\.shortcut\.0\.", ".shortcut."),
    (r"\.Kernel\.kernel_net\.0\.omega_0$", ".kernel.omega_0"),
    (r"\.Kernel\.kernel_net\.0\.", ".kernel.first."),
    (r"\.Kernel\.kernel_net\.2\.", ".kernel.second."),
    (r"\.Kernel\.(kernel_net\.4|output_linear)\.", ".kernel.output."),
    (r"\.Kernel\.linear\.", ".kernel.linears."),
    (r"\.Kernel\.filters\.(\d+)\.linear\.", r".kernel.filters.\1."),
    (r"\.Kernel\.filters\.(\d+)\.mu$", r".kernel.filters.\1.center"),
    (r"\.Kernel\.filters\.(\d+)\.gamma$", r".kernel.filters.\1.inverse_width"),
]
_LEFT_OUT = re.compile(r"(\.train_length|\.temperature|\.mask_threshold|\.kernel_net\.2\.omega_0)$")


def read_flexconv(path: str | Path, *, reference_size: int = 16) -> nn.Module:
    """The model of an official FlexConv checkpoint, in evaluation mode.

    Args:
        path: see `restool.interop.state`; wrappers of training scripts are taken off.
        reference_size: pixels of the image side (or steps of the sequence) that it was trained at.

    Raises:
        MissingDataError: no such file, or it is damaged.
        UsageError: the file needs pickle code, is no FlexNet or FlexTCN, or its shapes fit no such network.
    """
    return read_flexconv_spec(path, reference_size=reference_size)[1]


def read_flexconv_spec(path: str | Path, *, reference_size: int) -> tuple[ModelSpec, nn.Module]:
    """As `read_flexconv`, with the specification that builds a model of the same shape."""
    require_value("reference_size", reference_size, *knobs(ModelSpec)["reference_size"])
    path = Path(path)
    state = _official(read_state(path))
    try:
        spec = _identify(state, reference_size)
        model = spec.build()
        model.load_state_dict(renamed(state, model.state_dict()))
    except (KeyError, IndexError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        if isinstance(error, KeyError | IndexError):
            reason = f"a tensor is missing ({reason})"
        raise UsageError(f"{path.name} is no FlexNet or FlexTCN of the official FlexConv code: {reason}") from error
    return spec, model.eval()


def is_official(state: State) -> bool:
    """Whether tensors have the names of the official code."""
    return "out_layer.weight" in state or "finallyr.weight" in state


def _official(state: State) -> State:
    """The tensors out of their wrappers, or as they are where no official ones are in there."""
    return next(filter(is_official, unwrapped(state)), state)


def _identify(state: State, reference_size: int) -> ModelSpec:
    """Name, classes and channels from the tensors' names and shapes."""
    sequence = "finallyr.weight" in state
    head = state["finallyr.weight" if sequence else "out_layer.weight"]
    block = "backbone" if sequence else "blocks"
    indices = {int(match[1]) for key in state if (match := re.match(rf"{block}\.(\d+)\.", key))}
    widths = [len(state[f"{block}.{index}.norm2.weight"]) for index in sorted(indices)]
    first = f"{block}.0.cconv1." if sequence else "cconv1."
    kind = _layer_kind({key[len(first) :]: value for key, value in state.items() if key.startswith(first)})
    if not sequence:
        widths = [len(state["norm1.weight"]), *widths]
    name = shell_name("flextcn" if sequence else "flexnet", widths, kind)
    return ModelSpec(name, len(head), _input_channels(state, first, outputs=widths[0]), reference_size)


def _layer_kind(layer: State) -> str:
    if "weight" in layer:
        return f"conv{layer['weight'].shape[-1]}"
    if "Kernel.kernel_net.0.weight" in layer:
        network = "siren"
    elif "Kernel.filters.0.gamma" not in layer:
        network = "fourier"
    else:  # a GaborNet has one inverse width a unit; in 1D the two networks are the same
        gamma, mu = layer["Kernel.filters.0.gamma"], layer["Kernel.filters.0.mu"]
        network = "magnet" if gamma.shape == mu.shape else "gabor"
    return network if "mask_params" in layer else f"ckconv-{network}"


def _input_channels(state: State, first: str, *, outputs: int) -> int:
    if f"{first}weight" in state:
        return state[f"{first}weight"].shape[1]
    last = "kernel_net.4" if f"{first}Kernel.kernel_net.4.bias" in state else "output_linear"
    return len(state[f"{first}Kernel.{last}.bias"]) // outputs


def renamed(state: State, wanted: State) -> State:
    """Official tensors under the names of ours, reshaped where a 1x1 convolution is a linear layer here."""
    converted: State = {}
    for key, value in state.items():
        if _LEFT_OUT.search(key):
            continue
        for pattern, replacement in _RENAMES:
            key = re.sub(pattern, replacement, key)
        if key.endswith(".mask_params"):
            prefix = key.removesuffix("mask_params") + "mask."
            converted[prefix + "mean"], converted[prefix + "sigma"] = value[:, 0], value[:, 1]
        else:
            converted[key] = value
    return {
        key: value.reshape(wanted[key].shape) if key in wanted and value.numel() == wanted[key].numel() else value
        for key, value in converted.items()
    }
