"""The house: imports go one way and not in a circle, the library does not speak the command line, files stay small."""

import ast
import json
import re
import shutil
import statistics
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "restool"
FILES = sorted(ROOT.rglob("*.py"))
TESTS = sorted(Path(__file__).resolve().parent.rglob("*.py"))

COMMON = ["version", "errors", "files", "arguments", "devices", "modules", "recipe", "integrity", "records"]
"""Importable by every layer but the kernels, and importing nothing but those before."""
LAYERS = [
    "kernels", "correlation", "nn", "aliasing", "models", "data", "training", "evidence", "report", "analysis",
    "transfer", "diagnosis", "studies", "bench", "cli",
]  # fmt: skip
"""Each may import those before it, and itself."""

ALLOWED = {layer: {*COMMON, *LAYERS[: index + 1]} for index, layer in enumerate(LAYERS)}
ALLOWED |= {common: set(COMMON[: index + 1]) for index, common in enumerate(COMMON)}
ALLOWED["kernels"] = {"kernels"}
ALLOWED["correlation"] = {*COMMON, "correlation"}
ALLOWED["evidence"] = {"evidence"}
ALLOWED["report"] = {*COMMON, "evidence", "report"} - {"devices", "modules"}  # which load torch
ALLOWED["interop"] = {"interop", "arguments", "errors", "models", "training"}
ALLOWED["testing"] = {"kernels", "correlation", "nn", "aliasing"}
ALLOWED["bench"] |= {"testing"}
for after in ("transfer", "diagnosis", "studies", "bench", "cli"):
    ALLOWED[after] |= {"interop"}
ALLOWED["__main__"] = {"cli"}
ALLOWED["__init__"] = {"version", *LAYERS}  # loads them at first use

WITHOUT_TORCH = [
    "restool", "restool.cli", "restool.recipe", "restool.integrity", "restool.records", "restool.evidence",
    "restool.report", "restool.report.enlargement", "restool.bench.harness.budget", "restool.bench.harness.record",
]  # fmt: skip
LONGEST_FILE, LONGEST_FUNCTION, USUAL_FILE = 300, 40, 120


def package_of(path: Path) -> str:
    """The part of the house that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """The name that a file is imported by."""
    parts = ["restool", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imported_modules(source: str) -> set[str]:
    """Modules of restool that a source imports: at the top, in functions and for types alone; "." if relatively."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." if node.level else str(node.module)
            below = {f"{module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else module for name in below}
    return {name for name in names if name == "." or name.split(".")[0] == "restool"}


def imported_packages(source: str) -> set[str]:
    """Parts of the house that a source imports."""
    return {(name.split(".") + ["__init__"])[1] or "." for name in imported_modules(source)}


def function_lengths(source: str) -> dict[str, int]:
    """Lines of every function without its docstring, by name."""
    lengths = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) is not None else None
            hidden = docstring.end_lineno - docstring.lineno + 1 if docstring is not None else 0
            lengths[f"{node.name} at line {node.lineno}"] = node.end_lineno - node.lineno + 1 - hidden
    return lengths


@pytest.mark.parametrize("package", sorted({package_of(path) for path in FILES}))
def test_imports_go_one_way(package):
    assert package in ALLOWED, f"{package} has no place in the house; give it one here"
    for path in (path for path in FILES if package_of(path) == package):
        wrong = imported_packages(path.read_text()) - ALLOWED[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_not_even_in_functions_or_for_types():
    graph = {name: imported_modules(path.read_text()) - {name} for name, path in MODULES.items()}
    assert circle(graph) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def test_the_harness_of_benchmarks_knows_no_work():
    for path in (ROOT / "bench" / "harness").glob("*.py"):
        assert not {name for name in imported_modules(path.read_text()) if name.startswith("restool.bench.work")}


def test_a_study_is_planned_without_the_libraries_that_only_its_cells_and_its_report_need():
    code = "import sys, json, restool.transfer; print(json.dumps([*sys.modules]))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert "torch" in json.loads(loaded)
    assert not {"torchvision", "triton", "sympy", "pandas", "matplotlib", "ray", "timm"} & set(json.loads(loaded))


REPORT = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
    assert "torch" not in sys.modules, name
from restool.cli import main
sys.argv = ["restool", "report", "."]
try:
    main()
finally:
    assert "torch" not in sys.modules
"""


@pytest.mark.slow
def test_a_report_on_the_command_line_and_what_needs_no_torch_load_none(tmp_path):
    shutil.copytree(ROOT.parent / "results" / "demo" / "records", tmp_path / "records")
    done = subprocess.run([sys.executable, "-c", REPORT, *WITHOUT_TORCH], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("heatmap*.png"))


OPTION = re.compile(r"(?<![-\w])--[a-z]")


def test_the_library_does_not_speak_the_command_line():
    for path in (path for path in FILES if package_of(path) != "cli"):
        lines = [line for line in path.read_text().splitlines() if OPTION.search(line)]
        assert not lines, path


def test_an_option_is_seen_in_any_text():
    assert all(OPTION.search(text) for text in ("use --out DIR", '"--a"', "`--limit`", "(--x)", "--dry-run"))
    assert not any(OPTION.search(text) for text in ("a -- b", "|---|", "x --1", "a--b", "---x"))


def read_or_written_as_the_machine_likes(source: str) -> list[int]:
    """Lines in which a file is read or written as text without saying how its letters are coded."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    least = {"read_text": 1, "write_text": 2}
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute) and len(call.args) + len(call.keywords) < least.get(call.func.attr, 0)
    ]


def test_what_is_read_does_not_depend_on_the_language_of_a_machine():
    found = {str(path): read_or_written_as_the_machine_likes(path.read_text("utf-8")) for path in FILES}
    assert not {path: lines for path, lines in found.items() if lines}
    assert read_or_written_as_the_machine_likes("a.read_text()\na.write_text(b)\na.read_text('utf-8')\nb()") == [1, 2]


def hidden(package: str, source: str, modules: set[str]) -> set[str]:
    """Modules of a package whose name its `__init__.py` gives to something else."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom) and node.module != package]
    return {alias.asname or alias.name for node in nodes for alias in node.names} & modules


def test_no_name_of_a_package_hides_one_of_its_modules():
    for path in ROOT.rglob("__init__.py"):
        modules = {module.name.removesuffix(".py") for module in path.parent.iterdir() if module != path}
        assert not hidden(module_of(path), path.read_text(), modules), path


def test_a_hidden_module_is_seen():
    assert hidden("a.b", "from a.b.c import c, d\nfrom a.b import e\nfrom a import f as g", {*"cefg"}) == {"c", "g"}


def test_files_and_functions_stay_small():
    for path in (*FILES, *TESTS):
        source = path.read_text()
        assert len(source.splitlines()) <= LONGEST_FILE, path
        long = {name: lines for name, lines in function_lengths(source).items() if lines > LONGEST_FUNCTION}
        assert not long, path


def test_most_files_are_shorter_than_a_long_page():
    assert statistics.median(len(path.read_text().splitlines()) for path in FILES) < USUAL_FILE


def test_every_part_of_the_house_exists():
    assert {package_of(path) for path in FILES} == set(ALLOWED)


def test_an_import_is_seen_wherever_it_hides():
    source = """
import os
import restool.correlation.engine as c
from restool.models import build_model
from restool import __version__, data
from . import something
if TYPE_CHECKING:
    from restool.nn.wide import WideConv2d
def f():
    if True:
        from restool.cli.ls import main
"""
    assert imported_packages(source) == {"correlation", "models", "data", "nn", "cli", "__init__", "."}
    assert "restool.nn.wide" in imported_modules(source)


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
