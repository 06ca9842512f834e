"""`restool diagnose`: why a checkpoint loses at a target."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from restool.cli import panels
from restool.cli.output import print_json

if TYPE_CHECKING:
    from restool.diagnosis import Diagnosis


def diagnose(
    checkpoint: panels.CheckpointFile,
    to: panels.TargetSize = 32,
    dataset: panels.DatasetName = "gabors",
    limit: panels.Limit = None,
    data_dir: panels.DataDir = None,
    download: panels.Download = False,
    device: panels.Device = panels.DeviceChoice.auto,
    as_json: panels.Json = False,
) -> None:
    """Say why a checkpoint loses at a target: repair one cause at a time and test what comes back; nothing is written.

    restool diagnose model.safetensors --to 32
    """
    from restool.data import load, require_limit
    from restool.devices import choose_device
    from restool.diagnosis import diagnose as measure
    from restool.diagnosis import steps
    from restool.training import load_model
    from restool.transfer.progress import ProgressBars

    panels.require_size(to)
    require_limit(limit)
    chosen = choose_device(device.value)
    model, stored = load_model(checkpoint, chosen)
    data = load(dataset, data_dir=data_dir, download=download, limit=limit)
    total = steps(model, stored.spec, to)
    with ProgressBars().activity(f"diagnose {checkpoint.name}", total) as watch:
        found = measure(model, stored.spec, data, to, device=chosen, step=watch.step)
    if as_json:
        print_json({"checkpoint": str(checkpoint), **_plain(found)})
    else:
        print("\n\n".join([found.verdict, *_tables(found)]))


def _plain(found: "Diagnosis") -> dict[str, Any]:
    """What JSON says."""
    from restool.report.columns import spelt

    repairs = [
        {
            "cause": repair.cause.name,
            "repair": repair.cause.repair,
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
        "verdict": found.verdict,
    }


def _tables(found: "Diagnosis") -> list[str]:
    """Causes, layers and batch norms as text."""
    from restool.report.tables import aligned

    causes = [["used as", "accuracy", "gain, points"], ["at the source", f"{100 * found.at_source:.1f}", ""]]
    causes.append([f"{found.protocol} at {found.target} px", f"{100 * found.at_target:.1f}", ""])
    for repair in found.repairs:
        gain = f"{100 * repair.gain.mean:+.1f} ± {100 * repair.gain.half:.1f}{'' if repair.is_real else ' n.s.'}"
        causes.append([f"{repair.cause.name} repaired", f"{100 * repair.accuracy:.1f}", gain])
    causes.append(["resize to the source", f"{100 * found.resized:.1f}", ""])
    tables = [aligned(causes, left=1)]
    if found.layers:
        heading = ["layer", "taps", "above Nyquist", "bound / Nyquist", "change of sum", "of that by crop", "response"]
        rows = [
            [
                layer.layer,
                "" if layer.source_taps is None else f"{layer.source_taps} -> {layer.target_taps}",
                _percent(layer.above_nyquist),
                "" if layer.bound is None else f"{layer.bound:.1f}",
                _percent(layer.sum_change),
                _percent(layer.sum_change_by_crop),
                _percent(layer.response),
            ]
            for layer in found.layers
        ]
        tables.append(aligned([heading, *rows], left=1))
    if found.norms:
        rows = [[norm.layer, f"{norm.shift:.2f}", f"{norm.spread:.2f}"] for norm in found.norms]
        tables.append(aligned([["batch norm", "shift", "spread"], *rows], left=1))
    return tables


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
