"""How a model's outputs at a target agree with its own at the source, of cells whose logits were kept."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from restool import evidence
from restool.evidence.spelling import spelt
from restool.integrity import correct_bits
from restool.records import ResultsFolder, read_logits
from restool.report.columns import CONSISTENCY
from restool.report.frame import cell_columns, source_records


def consistency(out: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """One row per cell whose logits were kept with those of its source, over the seeds of which that is so.

    `agreement` is the share of test images that are answered as at the source, `divergence` the mean KL divergence of
    the output distribution at the target from that at the source, in nats, and `overconfidence` the mean confidence
    minus the accuracy; each with its 95 % interval (see `restool.evidence`). `calibration_error` is the expected
    calibration error, averaged over seeds. A cell with a logit that is no number has blanks.

    Args:
        out: results folder.
        frame: of it, what `restool.report.read_records` returns.

    Raises:
        UsageError: logits are damaged, or not of as many images as their record.
    """
    keys, folder = cell_columns(frame), ResultsFolder(out)
    kept = [folder.logits(key).exists() for key in frame["key"]]
    sources = source_records(frame)
    measured = np.array(
        [has and at is not None and kept[at] for has, at in zip(kept, sources, strict=True)], dtype=bool
    )

    @lru_cache(maxsize=8)  # cells of one source stand together
    def outputs(at: int) -> _Outputs:
        key, n, correct, digest = (frame[name].iloc[at] for name in ("key", "n", "correct", "logits"))
        return _Outputs(read_logits(folder.logits(key), n, digest), correct_bits(correct, n))

    rows = []
    for _, cell in frame[measured & (frame["protocol"] != "source")].groupby(keys, dropna=False, sort=False):
        pairs = [(outputs(at), outputs(source)) for at in cell.index if (source := sources[at]) is not None]
        rows.append({name: cell[name].iloc[0] for name in keys} | _measured(pairs))
    return pd.DataFrame(rows, columns=[*keys, *CONSISTENCY]).astype({name: object for name in keys})


class _Outputs:
    """Of one record: what was answered, how surely, and whether rightly."""

    def __init__(self, logits: NDArray[np.float32], correct: NDArray[np.bool_]) -> None:
        self.logits, self.correct = logits, correct
        self.answers = logits.argmax(1)
        self.finite = bool(np.isfinite(logits).all())

    @property
    def confidence(self) -> NDArray[np.float64]:
        return evidence.confidence(self.logits)

    @property
    def overconfidence(self) -> NDArray[np.float64]:
        """Confidence minus correct, of every image."""
        return self.confidence - self.correct


def _measured(pairs: list[tuple[_Outputs, _Outputs]]) -> dict[str, float]:
    """The measured columns of a cell, of its outputs and its source's, seed by seed."""
    found: dict[str, float] = {"seeds": len(pairs), "n": len(pairs[0][0].correct)}
    if not all(each.finite for pair in pairs for each in pair):
        return found
    agreement = evidence.accuracy([here.answers == own.answers for here, own in pairs])
    found |= spelt("agreement", "percent", agreement)
    divergence = evidence.mean([evidence.divergence(own.logits, here.logits) for here, own in pairs])
    found |= spelt("divergence", "nats", divergence)
    for place, of_seeds in zip(("", "source_"), zip(*pairs, strict=True), strict=True):
        over = evidence.mean([each.overconfidence for each in of_seeds])
        found |= spelt(f"{place}overconfidence", "points", over)
        errors = [evidence.calibration_error(each.confidence, each.correct) for each in of_seeds]
        found[f"{place}calibration_error_points"] = 100 * float(np.mean(errors))
    return found
