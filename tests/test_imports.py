"""Imports run one way: harness <- tasks, methods, leaderboard, which never import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {"harness": set(), "tasks": {"harness"}, "methods": {"harness"}, "leaderboard": {"harness"}}


def imported_folders(path: Path, folder: str) -> set[str]:
    """Our folders that a module imports, by relative or absolute name."""
    depth = len(path.relative_to(ROOT / folder).parent.parts) + 1
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level > depth:
                names = (
                    [f"detoxbench.{node.module or ''}"] if node.module else [f"detoxbench.{a.name}" for a in node.names]
                )
            elif node.level == 0:
                names = [node.module or ""]
        found |= {name.split(".")[1] for name in names if name.startswith("detoxbench.")}
    return found & set(ALLOWED)


@pytest.mark.parametrize("folder", ALLOWED)
def test_arrows(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        assert imported_folders(path, folder) - {folder} <= ALLOWED[folder], path


@pytest.mark.parametrize("folder", ALLOWED)
def test_between_folders_imports_are_relative(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not (node.module or "").startswith("detoxbench"), path


def test_nothing_unpickles_or_trusts_remote_code():
    for folder in ALLOWED:
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "pickle.load" not in text, path
            assert "weights_only=False" not in text, path
            assert "trust_remote_code=True" not in text, path
            assert "allow_pickle=True" not in text, path
