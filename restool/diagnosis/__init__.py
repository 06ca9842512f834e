"""Why a model loses at a target: causes repaired one at a time, and the figures of every layer."""

from restool.diagnosis.causes import CAUSES, Cause
from restool.diagnosis.export import as_plain
from restool.diagnosis.layers import LayerFigures, NormFigures
from restool.diagnosis.measure import Diagnosis, Repair, diagnose, steps

__all__ = ["CAUSES", "Cause", "Diagnosis", "LayerFigures", "NormFigures", "Repair", "as_plain", "diagnose", "steps"]
