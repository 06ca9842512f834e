"""A diagnosis as plain values, in percent and points: what JSON says of it and a results folder keeps."""

from dataclasses import asdict
from typing import Any

from restool.diagnosis.measure import Diagnosis
from restool.evidence.spelling import spelt


def as_plain(found: Diagnosis) -> dict[str, Any]:
    """What was found, as JSON has it."""
    repairs = [
        {
            "cause": repair.cause.name,
            "repair": repair.cause.told(found.noun),
            "accuracy_percent": 100 * repair.accuracy,
            **spelt("gain", "points", repair.gain),
            "p": repair.gain.p,
            "significant": repair.is_real,
        }
        for repair in found.repairs
    ]
    return {
        "model": found.model,
        "source": found.source,
        "target": found.target,
        "unit": found.unit,
        "protocol": found.protocol,
        "n": found.images,
        "source_accuracy_percent": 100 * found.at_source,
        "accuracy_percent": 100 * found.at_target,
        "resize_accuracy_percent": 100 * found.resized,
        **spelt("difference", "points", found.loss),
        "p": found.loss.p,
        "repairs": repairs,
        "breaks_at": None if found.breaks_at is None else found.breaks_at.layer,
        "layers": [asdict(layer) for layer in found.layers],
        "norms": [asdict(norm) for norm in found.norms],
        "left_out": found.left_out,
        "verdict": found.verdict,
    }
