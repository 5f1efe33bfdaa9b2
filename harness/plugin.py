"""What lm-eval is told, each function right after one of its modules has been loaded (see ``autoload.py``)."""

from __future__ import annotations

import fnmatch
import functools
import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import DetoxbenchError, show_in_one_line, unknown

MODELS = {"detox": "detoxbench.harness.model:DetoxLM"}
TASK_CHECK = "detoxbench.tasks.check:check"
TABLES = "detoxbench.tasks.tables:shorten"


def task_folder() -> Path:
    """Where our task YAML lies."""
    return Path(importlib.import_module("detoxbench.tasks").__file__ or "").parent


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def register_models(module: ModuleType) -> None:
    """After ``lm_eval.models`` has filled the registry: add ours, unless an entry point already did."""
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)


def add_task_folder(module: ModuleType) -> None:
    """``TaskManager`` looks in our folder too, before the user's ``--include_path``, which so can override."""
    original = module.TaskManager.__init__

    @functools.wraps(original)
    def init(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):
        paths = [include_path] if isinstance(include_path, (str, Path)) else list(include_path or [])
        if include_defaults:
            paths.insert(0, task_folder())
        original(self, verbosity, paths, include_defaults, metadata)
        self.include_path = include_path

    module.TaskManager.__init__ = init


def check_before_loading(module: ModuleType) -> None:
    """``simple_evaluate`` checks the options of our tasks first: lm-eval would load the model before the tasks."""
    original = module.simple_evaluate

    @functools.wraps(original)
    def simple_evaluate(model, model_args=None, tasks=None, *args, metadata=None, **kwargs):
        names = [task for task in tasks or [] if isinstance(task, str)]
        if mine := our_tasks(names):
            options = model_args if isinstance(model_args, Mapping) else {}
            _load(TASK_CHECK)({**options, **(metadata or {})}, mine)
        return original(model, model_args, tasks, *args, metadata=metadata, **kwargs)

    module.simple_evaluate = simple_evaluate


def task_names() -> dict[str, list[Path]]:
    """Names of our tasks and groups -> the YAML files behind them.

    A folder is a group; ``folder/suffix.yaml`` is its task ``folder_suffix``; files that start with ``_`` are shared.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(task_folder().glob("*/[!_]*.yaml")):
        found.setdefault(path.parent.name, []).append(path)
        found[f"{path.parent.name}_{path.stem}"] = [path]
    return found


def our_tasks(patterns: Iterable[str]) -> list[Path]:
    """YAML files of our tasks that match lm-eval's ``--tasks``."""
    patterns = list(patterns)
    found = {
        path: None
        for name, paths in task_names().items()
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
        for path in paths
    }
    return list(found)


def shorten_tables(module: ModuleType) -> None:
    """lm-eval's own table folds our interval bounds into the value; errors meant for the user become one line."""
    show_in_one_line()
    _explain_lm_eval_errors()
    original = module.make_table

    @functools.wraps(original)
    def make_table(result_dict, *args, **kwargs):
        return original(_load(TABLES)(result_dict), *args, **kwargs)

    module.make_table = make_table


def _explain_lm_eval_errors() -> None:
    """lm-eval's errors for an unknown task of ours, or broken JSON in a run of ours, become one line as well."""
    previous = sys.excepthook

    def hook(kind, error, traceback):
        text = str(error)
        if isinstance(error, ValueError) and text.startswith("Tasks not found: "):
            missing = text.removeprefix("Tasks not found: ").split(", ")[0]
            if mine := [name for name in task_names() if name.split("_")[0] == missing.split("_")[0]]:
                error = unknown("task", missing, mine)
        elif isinstance(error, ValueError) and text.startswith("Invalid JSON: ") and "detox" in " ".join(sys.argv):
            error = DetoxbenchError(f"--metadata or --model_args: not JSON: {text.removeprefix('Invalid JSON: ')}")
        previous(type(error), error, traceback)

    sys.excepthook = hook
