"""The 2D table of the FlexConv poster, measured: `python studies/rivals.py DATA` trains, tests and writes the table.

Every system is trained at 16 px by the same recipe, used at 32 px by the rule that suits it, and trained on there. See
rivals.md. What has a record is not done again; `--models` runs a part, so that several processes may share the work.
"""

import argparse
from pathlib import Path

import pandas as pd

import restool

OUT = Path(__file__).resolve().parent.parent / "results" / "rivals"
SETTINGS = {"train": [16], "test": [32], "seeds": [0], "limit": 2000, "epochs": 5, "finetune_epochs": 1}

PUBLISHED: dict[str, tuple[str, str, str, str]] = {
    # source accuracy at 16 px, change at 32 px, after 100 epochs there, accuracy of a model trained at 32 px
    "flexnet-3": ("", "", "", "91.3"),
    "flexnet-5": ("", "", "", "92.5"),
    "flexnet-7": ("86.4", "-34.5", "88.8", "92.7"),
    "flexnet-7-conv3": ("85.3", "-21.2", "90.1", "89.5"),
    "flexnet-7-conv33": ("67.7", "-57.1", "79.2", "78.0"),
    "flexnet-7-siren": ("70.4", "-50.0", "75.2", ""),
    "ckcnn-7-siren": ("45.9", "-15.8", "46.7", ""),
    "flexnet-7-njet": ("86.4", "-5.5", "89.5", "91.7"),
    "njet-allcnn": ("", "", "", "92.5"),
    "njet-resnet-32": ("", "", "", "92.3"),
    "dcn-sigma-ji": ("", "", "", "89.7"),
    "flexnet-7-fractional": ("", "", "", ""),
    "flexnet-7-dilated": ("", "", "", ""),
    "flexnet-7-deformable": ("", "", "", ""),
    "cifar-resnet-32": ("85.4", "-31.2", "92.6", "92.5"),
    "cifar-resnet-44": ("85.8", "-31.6", "92.9", ""),
}
"""By system, from the poster and the official run log: 45,000 or 50,000 images, 100 to 350 epochs. Not ours."""


def configs(data: str, model: str) -> list[restool.StudyConfig]:
    """Test with the image shrunk to 16 px, test by the rule that suits the system, and train on from there."""
    return [
        restool.StudyConfig(model=model, dataset=f"parquet:{data}", protocols=protocols, **SETTINGS)
        for protocols in (["resize"], "start")
    ]


def run(data: str, models: list[str]) -> None:
    """Do what has no record; stop at the first system of which a cell fails."""
    for model in models:
        for config in configs(data, model):
            if restool.sweep(config, OUT).failed:
                raise SystemExit(f"{model} failed, see above; the same command tries again")


def table() -> str:
    """Markdown: measured beside published, from the records alone."""
    cells = pd.read_csv(OUT / "table.csv")
    lines = [
        "| system | parameters | 16 px | at 32 px | rule | resize | tuned "
        "| published: 16 px | at 32 px | tuned | from 32 px |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model, published in PUBLISHED.items():
        rows = cells[cells["model"] == model]
        if rows.empty:
            continue
        source = rows["source_accuracy_percent"].iloc[0]
        by = {row["protocol"]: row for _, row in rows.iterrows()}
        own = next(name for name in ("requery", "rescale", "as-is") if name in by)
        shown = [
            f"{by[name]['accuracy_percent']:.1f} ({by[name]['difference_points']:+.1f})" for name in (own, "resize")
        ]
        tuned = f"{by['finetune']['accuracy_percent']:.1f}"
        measured = [f"{source:.1f}", shown[0], own, shown[1], tuned]
        parameters = sum(parameter.numel() for parameter in restool.build_model(model).parameters())
        lines.append("| " + " | ".join([model, f"{parameters:,}", *measured, *published]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="folder of CIFAR-10 parquet files")
    parser.add_argument("--models", default=",".join(PUBLISHED), help="names, separated by commas")
    arguments = parser.parse_args()
    run(arguments.data, arguments.models.split(","))
    (OUT / "systems.md").write_text(table())


if __name__ == "__main__":
    main()
