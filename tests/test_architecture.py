"""The floors of ``docs/architecture.md``, drawn from the files' own imports: arrows point down and never run round.

An arrow is any import statement, inside a function or under ``TYPE_CHECKING`` too.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "core": {"core"},
    "tasks": {"core", "tasks"},
    "methods": {"core", "methods"},
    "leaderboard": {"core", "leaderboard"},
    "harness": {"core", "tasks", "methods", "leaderboard", "harness"},
    "": {"methods", "harness"},
}
"""Subpackage -> those that it may import; "" is the package itself."""
REGISTRY = "core.registry"
"""The one module that imports ours by a name in a string."""


def place(folder: str) -> Path:
    """Where the modules of a subpackage lie; those of the package itself, which names what Python callers use, for
    ""."""
    return ROOT / (folder or "detoxbench")


@cache
def modules() -> dict[str, Path]:
    """Dotted name below ``detoxbench`` -> file."""
    found = {}
    for folder in ALLOWED:
        for path in sorted(place(folder).rglob("*.py")):
            parts = path.relative_to(place(folder).parent if folder else place(folder)).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def arrows(name: str) -> set[str]:
    """The modules of ours that a module imports."""
    path, found = modules()[name], set()
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("detoxbench.") for alias in node.names if is_ours(alias.name)}
        elif isinstance(node, ast.ImportFrom) and (node.level or is_ours(node.module or "")):
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *(node.module or "").removeprefix("detoxbench").split(".")]).strip(".")
            for alias in node.names:
                below = f"{target}.{alias.name}".strip(".")
                found.add(below if below in modules() else target)
    return found


def is_ours(module: str) -> bool:
    return module.split(".")[0] == "detoxbench"


@pytest.mark.parametrize("folder", ALLOWED)
def test_arrows_point_down(folder):
    for name in modules():
        if name.split(".")[0] == folder:
            for target in arrows(name):
                assert target in modules(), f"{name} imports {target}, which is not there"
                assert target.split(".")[0] in ALLOWED[folder], f"{name} imports {target}"


def test_no_circles():
    graph = {name: arrows(name) - {name} for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {' -> '.join(error.args[1])}")


def test_no_module_of_ours_is_imported_by_a_string():
    for name, path in modules().items():
        if name != REGISTRY:
            for node in ast.walk(tree(path)):
                called = isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1]
                if called in ("import_module", "__import__"):
                    argument = ast.unparse(node.args[0])
                    assert re.fullmatch(r"'(?!detoxbench)[a-z_.]+'", argument), f"{name}: {ast.unparse(node)}"


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_of_ours_are_relative(folder):
    for path in sorted(place(folder).rglob("*.py")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not is_ours(node.module or ""), path


def test_nothing_unpickles_or_trusts_remote_code():
    for path in modules().values():
        text = path.read_text(encoding="utf-8")
        assert "pickle.load" not in text, path
        assert "weights_only=False" not in text, path
        assert "trust_remote_code=True" not in text, path
        assert "allow_pickle=True" not in text, path
