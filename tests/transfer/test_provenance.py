"""Laws of what a record says about its making."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import restool
from restool.devices import device_name
from restool.transfer.provenance import environment


def test_a_record_says_what_made_it():
    surroundings = environment(torch.device("cpu"))
    assert surroundings["restool"] == restool.__version__
    assert surroundings["torch"] == torch.__version__
    assert surroundings["python"] == ".".join(map(str, sys.version_info[:3]))
    assert surroundings["device"] == device_name(torch.device("cpu"))
    json.dumps(surroundings)


def test_a_record_names_the_commit_of_the_checkout(tmp_path):
    root = Path(restool.__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("needs a checkout with its history")
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert environment(torch.device("cpu"))["git"].removesuffix("-dirty") == head.stdout[:12]
