"""Numbers of a cell beside its accuracy: what each is called, its unit, and which way is better."""

from dataclasses import dataclass

from restool.evidence.spelling import names

LETTERS = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k"}
DIGITS = {"percent": 1, "points": 1, "nats": 3}
"""By unit, the decimals that are shown; other numbers have three digits and a letter for thousands, millions, ..."""


@dataclass(frozen=True)
class Measure:
    """One number of a cell.

    Attributes:
        name: as it is typed, and the beginning of its columns.
        title: in words; `{noun}` is what is tested.
        unit: percent, points or nats; nothing for a count, which is shown on a logarithmic scale.
        higher_is_better: or else lower is.
        field: of `figures` in a record; nothing where it is derived of others.
        of_machine: depends on the machine, so that those of several are not averaged.
        needs: what is said where no record tells it.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    field: str
    of_machine: bool = False
    needs: str = "older records do not: run the sweep into another `out`"

    @property
    def columns(self) -> list[str]:
        """Its value and the ends of its interval."""
        return names(self.name, self.unit)

    def label(self, noun: str) -> str:
        """Of an axis."""
        title = self.title.format(noun=noun)
        return f"{title} in {self.unit}" if self.unit else title

    @property
    def direction(self) -> str:
        """Which way is better, in words."""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    def told(self, value: float) -> str:
        """A value in the unit, without it."""
        return f"{value:.{DIGITS[self.unit]}f}" if self.unit else counted(value)


def counted(value: float) -> str:
    """A count with three digits: 12.3 M."""
    rounded = float(f"{value:.3g}")
    for factor, letter in LETTERS.items():
        if rounded >= factor:
            return f"{rounded / factor:.3g} {letter}"
    return f"{rounded:.3g}"


ACCURACY = Measure("accuracy", "accuracy", "percent", True, "")
FLOPS = Measure("flops_per_image", "floating-point operations per {noun}", "", False, "flops_per_image")
SPEED = Measure("images_per_second", "{noun}s per second", "", True, "", of_machine=True)
_NEEDS_GPU = "only tests on a GPU do"

MEASURES = {
    measure.name: measure
    for measure in (
        Measure("top5", "top-5 accuracy", "percent", True, "top5", needs="only tests of six classes and more do"),
        Measure("nll", "mean negative log-likelihood", "nats", False, "nll_nats"),
        Measure("ece", "expected calibration error (15 bins)", "points", False, "calibration_error"),
        Measure("agreement", "share of {noun}s answered as at the source", "percent", True, "agreement"),
        Measure("divergence", "mean KL divergence from the outputs at the source", "nats", False, "divergence_nats"),
        SPEED,
        FLOPS,
        Measure("memory", "peak memory of the test in bytes", "", False, "peak_memory_bytes", True, _NEEDS_GPU),
    )
}
"""All but the accuracy, by name."""
METRICS = (ACCURACY.name, *MEASURES)
"""What a report can show."""
