"""A GPU that is none: tensors that say they are on it and hold their numbers in the CPU's memory.

What only a GPU shows is seen here without one: a tensor left on another device, and every time that the host waits for
the device. PyTorch's own pretended tensors (`FakeTensor`) have no backward pass where there is no GPU, and no numbers.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import restool

GPU = torch.device("cuda:1")
"""The second one, so that what asks for any GPU is seen to ask for the wrong one."""
HOME = str(Path(restool.__file__).parent) + os.sep

aten = torch.ops.aten
LIKE = (aten.new_empty.default, aten.new_empty_strided.default, aten.new_zeros.default, aten.new_ones.default)
"""These are told the true device by C++, and are where the tensor is that they are like."""
MOVES = (aten._to_copy.default, aten.copy_.default)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
"""The shape of what these do depends on values only where an index is a mask."""


class OnGPU(Tensor):
    """A tensor that says it is on `GPU`."""

    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return INSTEAD.get(func, func)(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} on the pretended GPU from outside of it")


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if isinstance(args[0] if args else None, Tensor):
        args = args[0].device, args[0].dtype
    copied = kwargs.pop("copy", False)
    device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
    device, dtype = tensor.device if device is None else device, dtype or tensor.dtype
    if (device, dtype) == (tensor.device, tensor.dtype) and layout is None and not copied:
        return tensor
    more = {} if layout is None else {"memory_format": layout}
    return aten._to_copy(tensor, dtype=dtype, device=device, non_blocking=non_blocking, **more)


def _copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    if id(tensor) not in memo:
        made = tensor.detach().clone()
        memo[id(tensor)] = nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made
    return memo[id(tensor)]


def _no_array(tensor: Tensor) -> None:
    raise TypeError("a tensor on a GPU is no array")


INSTEAD: dict[Any, Any] = {
    Tensor.to: _to,
    Tensor.cpu: lambda tensor: _to(tensor, "cpu"),
    Tensor.tolist: lambda tensor: _to(tensor, "cpu").tolist(),
    Tensor.numpy: _no_array,
    Tensor.__deepcopy__: _copied,
    Tensor.new_tensor: lambda tensor, data, dtype=None: torch.tensor(data, dtype=dtype or tensor.dtype, device=GPU),
}
"""What asks for the true device of a tensor, behind Python's back, and what does the same by the pretended one."""


class PretendedGPU(TorchDispatchMode):
    """Inside, `GPU` is a device like any other, of a machine without cuDNN.

    Attributes:
        waits: how often the host waited for the device, by the function of restool that asked and what it asked for:
            a "number", the "shape" of a result, or a "copy from the GPU" or "to the GPU".
        met: all of these so far in this process, which keeps some of what it copies.
    """

    met: ClassVar[set[tuple[str, str]]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[tuple[str, str]] = Counter()
        self._patches = ExitStack()

    def __enter__(self) -> "PretendedGPU":
        lift, overwrite = (
            torch._C._only_lift_cpu_tensors(),
            torch.__future__.get_overwrite_module_params_on_conversion(),
        )
        self._patches.callback(torch._C._set_only_lift_cpu_tensors, lift)
        self._patches.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrite)
        torch._C._set_only_lift_cpu_tensors(True)  # so that `torch.tensor` moves what it makes where it is seen
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter moves with its class
        self._patches.enter_context(torch.backends.cudnn.flags(enabled=False))
        for home, name, instead in (
            (torch.cuda, "_lazy_init", lambda: None),
            (torch.cuda, "get_device_name", lambda device: "pretended GPU"),
            (torch._C, "_group_tensors_by_device_and_dtype", _grouped),
        ):
            self._patches.enter_context(patch.object(home, name, instead))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._patches.close()
        self.met.update(self.waits)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        asked = None if func in LIKE else kwargs.get("device")
        if asked is not None and torch.device(asked).type == "cuda":
            if torch.device(asked) != GPU:
                raise RuntimeError(f"{func} on {asked}, which is not {GPU}")
            kwargs["device"] = torch.device("cpu")
        tensors = list(_tensors((*args, *kwargs.values())))
        here = any(isinstance(tensor, OnGPU) for tensor in tensors)
        if here and func not in MOVES:
            _require_together(func, args, tensors)
        if waited := _wait(func, args, kwargs, tensors, asked):
            self.waits[asking(), waited] += 1
        with torch._C._DisableTorchDispatch():
            made = func(*args, **kwargs)
            if func is aten.copy_.default:
                return args[0]
            return _on_gpu(made) if (here if asked is None else torch.device(asked) == GPU) else made


_group = torch._C._group_tensors_by_device_and_dtype


def _grouped(lists: Any, with_indices: bool = False) -> dict[Any, Any]:
    """PyTorch's own groups, named by the device that their tensors tell."""
    return {(group[0][0][0].device, dtype): group for (_, dtype), group in _group(lists, with_indices).items()}


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Those among arguments, and in lists among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _on_gpu(made: Any) -> Any:
    """What an operation made, in which tensors say that they are on the GPU."""
    if isinstance(made, list | tuple):
        return type(made)(map(_on_gpu, made))
    plain = isinstance(made, Tensor) and not isinstance(made, OnGPU)
    return Tensor._make_subclass(OnGPU, made) if plain else made  # type: ignore[arg-type]


def _require_together(func: Any, args: Any, tensors: list[Tensor]) -> None:
    """Raise RuntimeError, as torch does, where tensors of two devices meet; scalars and indices may be on the CPU."""
    free = [value for value in args if isinstance(value, Tensor) and value.dim() == 0]
    if func in INDEXING and isinstance(args[0], OnGPU):
        free += _tensors(args[1])
    for tensor in tensors:
        if not isinstance(tensor, OnGPU) and all(tensor is not scalar for scalar in free):
            raise RuntimeError(f"{func} got a tensor {tuple(tensor.shape)} on the CPU beside those on {GPU}")


def _wait(func: Any, args: Any, kwargs: Any, tensors: list[Tensor], asked: Any) -> str:
    """What the host waits for in an operation, or nothing."""
    if func in MOVES:
        source, target = (args[1], args[0].device) if func is aten.copy_.default else (args[0], asked)
        on_its_own = kwargs.get("non_blocking") or (func is aten.copy_.default and len(args) > 2 and args[2])
        if on_its_own or target is None or source.device == torch.device(target):
            return ""
        return "copy from the GPU" if isinstance(source, OnGPU) else "copy to the GPU"
    if not any(isinstance(tensor, OnGPU) for tensor in tensors):
        return ""
    if torch.Tag.data_dependent_output in func.tags:
        return "number"
    if func in INDEXING:
        indices = list(_tensors(args[1]))
        if any(not isinstance(index, OnGPU) for index in indices):
            return "copy to the GPU"
        return "shape" if any(index.dtype == torch.bool for index in indices) else ""
    return "shape" if torch.Tag.dynamic_output_shape in func.tags else ""


def asking() -> str:
    """The innermost function of restool that is at work, or "?"."""
    frame: Any = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.startswith(HOME):
        frame = frame.f_back
    if frame is None:
        return "?"
    module = frame.f_code.co_filename.removeprefix(HOME).removesuffix(".py").replace(os.sep, ".")
    return f"{module}.{frame.f_code.co_qualname}"
