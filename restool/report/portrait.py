"""What a figure shows of the kernels of one layer, as JSON keeps it.

Lengths are in units of half an image side or half a sequence, frequencies in cycles per unit: n pixels or steps carry
up to n / 4.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """One layer.

    Attributes:
        layer: its name.
        pictures: [P, G, G], the channel pairs of most energy on a fine grid over [-1, 1], mask included; or [P, G] of
            causal kernels, lag 0 last, as large as the taps of the source are.
        covered: length along (y, x), or along time, of what the taps at the source cover.
        taps: of the source along (y, x), or along time.
        frequencies: [F], ascending from 0.
        above: [F], share of the energy of all kernels of the layer above each frequency along some axis.
        bound: the highest frequency that the network can reach, or None where it is not known.
    """

    layer: str
    pictures: np.ndarray
    covered: tuple[float, ...]
    taps: tuple[int, ...]
    frequencies: np.ndarray
    above: np.ndarray
    bound: float | None

    @property
    def causal(self) -> bool:
        """Whether the kernels are of sequences."""
        return len(self.taps) == 1

    @property
    def spacing(self) -> float:
        """Distance of the samples of a picture, which carry frequencies up to the last."""
        return float(1 / (2 * self.frequencies[-1]))

    def as_plain(self) -> dict[str, Any]:
        """As JSON has it, pictures in half precision; `from_plain` reads it."""
        pictures = np.ascontiguousarray(self.pictures, dtype="<f2")
        return {
            "layer": self.layer,
            "shape": list(pictures.shape),
            "pictures": base64.b64encode(pictures.tobytes()).decode(),
            "covered": list(self.covered),
            "taps": list(self.taps),
            "frequencies": [round(float(value), 6) for value in self.frequencies],
            "above": [round(float(value), 8) for value in self.above],
            "bound": self.bound,
        }

    @classmethod
    def from_plain(cls, found: Mapping[str, Any]) -> "Portrait":
        """What `as_plain` gave.

        Raises:
            ValueError: not base64, or not as many values as the shape says.
        """
        values = np.frombuffer(base64.b64decode(found["pictures"], validate=True), dtype="<f2")
        return cls(
            layer=found["layer"],
            pictures=values.reshape(found["shape"]).astype(float),
            covered=tuple(found["covered"]),
            taps=tuple(found["taps"]),
            frequencies=np.array(found["frequencies"]),
            above=np.array(found["above"]),
            bound=found["bound"],
        )

    def share_above(self, size: int) -> float:
        """The share above the Nyquist frequency of so many pixels or steps."""
        return float(np.interp(size / 4, self.frequencies, self.above))


def table(portraits: list[Portrait], source: int, target: int) -> pd.DataFrame:
    """A row per layer: taps and length along the longest axis, energy above both Nyquist frequencies, and the bound."""
    return pd.DataFrame(
        {
            "layer": portrait.layer,
            "taps": max(portrait.taps),
            "covered": max(portrait.covered),
            "above_source_nyquist": portrait.share_above(source),
            "above_target_nyquist": portrait.share_above(target),
            "bound": portrait.bound,
        }
        for portrait in portraits
    )
