"""How long a candidate is measured. Needs no torch."""

import math
from dataclasses import dataclass
from typing import Annotated

from restool.arguments import Knob, check_knobs


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long one candidate is measured: `repeats` calls or `seconds` of calls, whichever ends first; one at least.

    Attributes:
        repeats: calls at most.
        seconds: of calls after which no further one starts.
        give_up: a candidate with a call longer than this is left out of larger cases.

    Raises:
        ArgumentError: a number out of range.
    """

    repeats: Annotated[int, Knob("Calls of a candidate at most.", "N", least=1)] = 30
    seconds: Annotated[float, Knob("Start no further call after so many.", "SECONDS", above=0)] = 5.0
    give_up: Annotated[
        float,
        Knob("Leave a candidate out of larger cases once a call took longer.", "SECONDS", above=0, default="never"),
    ] = math.inf

    def __post_init__(self) -> None:
        check_knobs(self)
