"""The house: imports go one way, files and functions stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "restool"
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = ["kernels", "nn", "aliasing", "models", "data", "training", "transfer", "report", "bench", "interop", "cli"]
"""Each may import those before it, and itself."""

COMMON = {"errors", "files"}
"""Importable by all, importing nothing of restool but each other."""

ALLOWED = {layer: COMMON | set(LAYERS[: index + 1]) for index, layer in enumerate(LAYERS)}
ALLOWED |= {common: COMMON for common in COMMON}
ALLOWED["kernels"] = {"kernels"}
ALLOWED["interop"] = {"interop", "errors", "models", "training"}
ALLOWED["bench"] |= {"testing"}
ALLOWED["testing"] = {"kernels", "nn", "aliasing"}
ALLOWED["__main__"] = {"cli"}
ALLOWED["__init__"] = set(LAYERS)  # loads them at first use

LONGEST_FILE, LONGEST_FUNCTION = 300, 40


def package_of(path: Path) -> str:
    """The part of the house that a file belongs to."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported_packages(source: str) -> set[str]:
    """Parts of the house a source imports, at the top or inside a function; a relative import counts as "."."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "restool.." if node.level else str(node.module)
            names |= {f"restool.{alias.name}" for alias in node.names} if module == "restool" else {module}
    inside = {name.removeprefix("restool.") for name in names if name.startswith("restool.")}
    return {name.split(".")[0] or "." for name in inside if name != "__version__"}


def function_lengths(source: str) -> dict[str, int]:
    """Lines of every function without its docstring, by name."""
    lengths = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) is not None else None
            hidden = docstring.end_lineno - docstring.lineno + 1 if docstring is not None else 0
            lengths[f"{node.name} at line {node.lineno}"] = node.end_lineno - node.lineno + 1 - hidden
    return lengths


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    package = package_of(path)
    assert package in ALLOWED, f"{package} has no place in the house; give it one here"
    wrong = imported_packages(path.read_text()) - ALLOWED[package]
    assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    source = path.read_text()
    assert len(source.splitlines()) <= LONGEST_FILE
    long = {name: lines for name, lines in function_lengths(source).items() if lines > LONGEST_FUNCTION}
    assert not long


def test_every_layer_of_the_house_exists():
    assert {package_of(path) for path in FILES} >= set(LAYERS)


def test_an_import_is_seen_wherever_it_hides():
    source = """
import os
import restool.nn.correlate as c
from restool.models import build_model
from restool import __version__, data
from . import something
def f():
    if True:
        from restool.cli.ls import main
"""
    assert imported_packages(source) == {"nn", "models", "data", "cli", "."}


def test_a_docstring_does_not_count_as_length():
    source = '''
def f(x):
    """One.

    Two.
    """
    def g():
        return 1
    return x
'''
    assert function_lengths(source) == {"f at line 2": 4, "g at line 7": 2}
