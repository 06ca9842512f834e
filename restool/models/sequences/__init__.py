"""Systems for sequences that FlexTCN is compared with: [B, C, T] -> [B, classes] logits, read at the last step."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from types import MappingProxyType
from typing import Any

from torch import nn

from restool.arguments import LARGEST_WIDTH, unknown_name
from restool.errors import UsageError
from restool.models.sequences.attention import SelfAttention
from restool.models.sequences.cktcn import CKTCN
from restool.models.sequences.dilated_tcn import TCN
from restool.models.sequences.dilrnn import DilRNN
from restool.models.sequences.gated import URGRU, URLSTM
from restool.models.sequences.hippo import HiPPOLegS
from restool.models.sequences.indrnn import IndRNN
from restool.models.sequences.lipschitz import LipschitzRNN
from restool.models.sequences.lmu import ParallelLMU
from restool.models.sequences.lstm import RLSTM
from restool.models.sequences.oscillators import CoRNN, UnICORNN
from restool.models.sequences.trellisnet import TrellisNet


@dataclass(frozen=True, kw_only=True)
class System:
    """A system: where it is described, its network, and what its published settings are for sequences of so many steps.

    Attributes:
        source: where it is described.
        network: makes it of `(channels, classes, **settings)`.
        settings: those that differ from the network's own defaults, by the number of steps in training.
        options: what a user's own settings change, `NAME?hidden=64,step=0.1`, by the names of the network's settings.
    """

    source: str
    network: type[nn.Module]
    settings: Callable[[int], Mapping[str, float]] = lambda _: {}
    options: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, classes: int, channels: int, steps: int) -> nn.Module:
        """An initialised network for sequences of `steps` in training.

        Raises:
            UsageError: options of the user's that do not fit each other.
        """
        try:
            return self.network(channels, classes, **{**self.settings(steps), **self.options})
        except (ValueError, AssertionError) as error:
            told = ",".join(f"{option}={value}" for option, value in self.options.items())
            raise UsageError(
                f"{self.network.__name__} cannot be built with {told or 'these settings'}: {error}"
            ) from error

    def changed(self, name: str, options: Mapping[str, Any]) -> "System":
        """The same with options of the user's; `name` is the whole name, for messages.

        Raises:
            UsageError: an option that the network has not, or a value that is no number of its kind or out of range.
        """
        known = {
            key: knob.annotation
            for key, knob in signature(self.network).parameters.items()
            if knob.kind is knob.KEYWORD_ONLY
        }
        known.pop("steps", None)  # those of the training
        for option, value in options.items():
            if option not in known:
                raise unknown_name("option", option, known, place=f" in {name!r}")
            _require_number(name, option, value, known[option])
        return replace(self, options=options)


def _require_number(name: str, option: str, value: Any, kind: type) -> None:
    if kind is int and not (type(value) is int and 1 <= value <= LARGEST_WIDTH):
        raise UsageError(f"{option} must be a whole number from 1 to {LARGEST_WIDTH:,}, but got {name}")
    if kind is float and not (type(value) in (int, float) and 0 <= value < math.inf):
        raise UsageError(f"{option} must be a finite number of at least 0, but got {name}")


PUBLISHED = 784
"""Steps of the sequences that the published time steps are for."""


def time_step(published: float, steps: int) -> float:
    """Shortened in proportion for more steps than `PUBLISHED`, so that a sequence lasts as long.

    For fewer it stays: the published steps are near the longest stable ones, and coRNN and UnICORNN learnt nothing with
    steps three times as long.
    """
    return published * min(1.0, PUBLISHED / steps)


def _for_steps(steps: int) -> dict[str, float]:
    return {"steps": steps}


CKCONV = "Romero et al. 2022b (CKConv)"

SYSTEMS: Mapping[str, System] = MappingProxyType(
    {
        "cktcn-2": System(source=CKCONV, network=CKTCN, settings=_for_steps),
        "cktcn-big-2": System(
            source=CKCONV,
            network=CKTCN,
            settings=lambda steps: {"steps": steps, "hidden": 100, "omega": 30.5, "dropout": 0.2, "input_dropout": 0.2},
        ),
        "dilrnn": System(source="Chang et al. 2017 (DilRNN)", network=DilRNN),
        "indrnn": System(source="Li et al. 2018 (IndRNN)", network=IndRNN, settings=_for_steps),
        "tcn": System(source="Bai et al. 2018a (TCN)", network=TCN),
        "r-lstm": System(source="Trinh et al. 2018 (r-LSTM)", network=RLSTM),
        "self-attention": System(source="Trinh et al. 2018, reconstructed", network=SelfAttention, settings=_for_steps),
        "trellisnet": System(source="Bai et al. 2018b (TrellisNet)", network=TrellisNet),
        "trellisnet-small": System(
            source="Bai et al. 2018b (its code's default)", network=TrellisNet, settings=lambda _: {"hidden": 130}
        ),
        "ur-lstm": System(source="Gu et al. 2020b (UR-LSTM)", network=URLSTM),
        "ur-gru-zoneout": System(source="Gu et al. 2020b (UR-GRU)", network=URGRU),
        "hippo-legs": System(source="Gu et al. 2020a (HiPPO-LegS)", network=HiPPOLegS),
        "lipschitz-rnn": System(
            source="Erichson et al. 2020 (Lipschitz RNN)",
            network=LipschitzRNN,
            settings=lambda steps: {"hidden": 256, "step": time_step(0.03, steps)},
        ),
        "cornn": System(
            source="Rusch and Mishra 2020 (coRNN)",
            network=CoRNN,
            settings=lambda steps: {"step": time_step(0.042, steps)},
        ),
        "unicornn": System(
            source="Rusch and Mishra 2021 (UnICORNN)",
            network=UnICORNN,
            settings=lambda steps: {"step": time_step(0.19, steps)},
        ),
        "plmu": System(source="Chilkuri and Eliasmith 2021 (pLMU)", network=ParallelLMU, settings=_for_steps),
    }
)
"""By name, in the sizes of their published results on MNIST pixel by pixel. coRNN has those for pixels in order."""
