"""How dilated layers meet a finer sampling of their input: a finer grid leaves gaps between the taps."""

from torch import Tensor


def dilation_factor(scale: Tensor) -> int:
    """What every dilation is multiplied by: the scale where it is a whole number, else 1.

    Args:
        scale: [], steps per training step.
    """
    factor = scale.item()
    return int(factor) if factor >= 1 and float(factor).is_integer() else 1
