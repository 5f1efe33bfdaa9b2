"""What lm-eval is told, each function right after one of its modules has been loaded (see ``autoload.py``)."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from .. import tasks
from ..core.errors import DetoxbenchError, show_in_one_line, unknown
from ..core.scorers.archive import default_path

MODELS = {"detox": "detoxbench.harness.model:DetoxLM"}


def task_folder() -> Path:
    """Where our task YAML lies."""
    return Path(tasks.__file__ or "").parent


def register_models(module: ModuleType) -> None:
    """After ``lm_eval.models`` has filled the registry: add ours, unless an entry point already did."""
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)


def add_task_folder(module: ModuleType) -> None:
    """``TaskManager`` looks in our folder too, before the user's ``--include_path``, which so can override; the tasks
    of our prompt sets that have no YAML file are added, and found under other codes of their languages as well."""
    from ..tasks import catalog, registration

    original = module.TaskManager.__init__
    match = module.TaskManager.match_tasks

    @functools.wraps(original)
    def init(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):
        paths = [include_path] if isinstance(include_path, (str, Path)) else list(include_path or [])
        if include_defaults:
            paths.insert(0, task_folder())
        original(self, verbosity, paths, include_defaults, metadata)
        self.include_path = include_path
        if include_defaults:
            registration.register(self)

    @functools.wraps(match)
    def match_tasks(self, task_list):
        return match(self, [catalog.canonical(name) for name in task_list])

    module.TaskManager.__init__ = init
    module.TaskManager.match_tasks = match_tasks


def check_before_loading(module: ModuleType) -> None:
    """``simple_evaluate`` checks the options of our tasks first: lm-eval would load the model before the tasks."""
    from lm_eval.utils import simple_parse_args_string

    from ..tasks import catalog, journal, preflight, tables

    original = module.simple_evaluate

    @functools.wraps(original)
    def simple_evaluate(model, model_args=None, tasks=None, *args, metadata=None, **kwargs):
        given = [tasks] if isinstance(tasks, str) else tasks or []
        tasks = [catalog.canonical(task) if isinstance(task, str) else task for task in given]
        mine = catalog.find([task for task in tasks if isinstance(task, str)])
        if not mine:
            return original(model, model_args, tasks, *args, metadata=metadata, **kwargs)
        given = model_args if isinstance(model_args, Mapping) else simple_parse_args_string(model_args)
        pretrained = given.get("pretrained", given.get("model"))
        named = str(pretrained) if isinstance(pretrained, str | Path) else None
        preflight.check({**given, **(metadata or {})}, mine, model, named)
        with journal.keeping(_kept_in(kwargs.get("evaluation_tracker"))):
            found = original(model, model_args, tasks, *args, metadata=metadata, **kwargs)
        return found if found is None else tables.without_nan(found)

    module.simple_evaluate = simple_evaluate


def _kept_in(tracker: object) -> Path:
    """Where unmeasured generations are kept: beside the results, or beside the score archive where a run has none."""
    output = getattr(tracker, "output_path", None)
    if output:
        return Path(output).parent if Path(output).suffix == ".json" else Path(output)
    return default_path().parent / "generations"


def shorten_tables(module: ModuleType) -> None:
    """lm-eval's own table folds our interval bounds into the value; errors meant for the user become one line."""
    show_in_one_line()
    _explain_lm_eval_errors()
    from ..tasks import tables

    original = module.make_table

    @functools.wraps(original)
    def make_table(result_dict, *args, **kwargs):
        return original(tables.shorten(result_dict), *args, **kwargs)

    module.make_table = make_table


def _explain_lm_eval_errors() -> None:
    """lm-eval's errors for an unknown task of ours, or broken JSON in a run of ours, become one line as well."""
    from ..tasks import catalog

    previous = sys.excepthook

    def hook(kind, error, traceback):
        text = str(error)
        if isinstance(error, ValueError) and text.startswith("Tasks not found: "):
            missing = text.removeprefix("Tasks not found: ").split(", ")[0]
            if mine := [name for name in catalog.names() if name.split("_")[0] == missing.split("_")[0]]:
                error = unknown("task", missing, mine)
        elif isinstance(error, ValueError) and text.startswith("Invalid JSON: ") and "detox" in " ".join(sys.argv):
            error = DetoxbenchError(f"--metadata or --model_args: not JSON: {text.removeprefix('Invalid JSON: ')}")
        previous(type(error), error, traceback)

    sys.excepthook = hook
