"""What we touch of lm-eval beyond its documented interface, each thing behind a function with a name.

``tests/core/test_lm_eval_private.py`` fails where a release changes one of them. The functions that take a module are
called right after it has been loaded, by the start-up shim.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

HUGGING_FACE = "lm_eval.models.huggingface:HFLM"


def max_positions(config: Any, *, default: int) -> int:
    """The context length that lm-eval takes a model's to be, by its config; ``default`` where that says none."""
    from lm_eval.models.utils import resolve_max_length

    return resolve_max_length(config, None, default=default)


def parsed(arguments: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """``a=1,b=x`` as lm-eval reads it; a mapping as it is."""
    from lm_eval.utils import simple_parse_args_string

    return simple_parse_args_string(arguments) if isinstance(arguments, str) else dict(arguments or {})


def register_model(name: str, target: str) -> None:
    """Add a model to lm-eval's table, unless an entry point already did.

    Args:
        name: of ``--model``.
        target: ``module:class``.
    """
    from lm_eval.api.registry import model_registry

    if name not in model_registry:
        model_registry.register(name, target=target)


def model_class(name: str) -> type | None:
    """The class of a registered model; None where there is no such model, which lm-eval says itself."""
    from lm_eval.api.registry import get_model

    try:
        return get_model(name)
    except (KeyError, ValueError, ImportError):
        return None


def is_hugging_face(kind: type | None) -> bool:
    """Whether a class of models is lm-eval's ``hf``, or made from it."""
    return any(f"{base.__module__}:{base.__name__}" == HUGGING_FACE for base in getattr(kind, "__mro__", ()))


def wrap_task_manager(
    module: ModuleType, folder: Path, names: Callable[[str], str], after: Callable[[Any], None]
) -> None:
    """Every ``TaskManager`` looks in a folder of ours, before the user's ``include_path``, which so can override.

    Args:
        module: ``lm_eval.tasks.manager``.
        folder: of YAML files.
        names: what a task that was asked for is called.
        after: called with the manager once it has its index; not where it was told to leave defaults out.
    """
    init, match = module.TaskManager.__init__, module.TaskManager.match_tasks

    @functools.wraps(init)
    def new_init(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):
        paths = [include_path] if isinstance(include_path, (str, Path)) else list(include_path or [])
        if include_defaults:
            paths.insert(0, folder)
        init(self, verbosity, paths, include_defaults, metadata)
        self.include_path = include_path
        if include_defaults:
            after(self)

    @functools.wraps(match)
    def new_match(self, task_list):
        return match(self, [names(name) for name in task_list])

    module.TaskManager.__init__ = new_init
    module.TaskManager.match_tasks = new_match


def add_tasks(manager: Any, tasks: Mapping[str, dict[str, Any]], groups: Mapping[str, dict[str, Any]]) -> None:
    """Add tasks and groups, by their configurations, to a ``TaskManager``; a name that it has stays what it is."""
    from lm_eval.tasks._index import Entry, Kind

    index = manager.task_index
    added: dict[Kind, list[str]] = {Kind.PY_TASK: [], Kind.GROUP: []}
    for kind, configs in ((Kind.PY_TASK, tasks), (Kind.GROUP, groups)):
        for name, config in configs.items():
            if name not in index:
                index[name] = Entry(name, kind, None, cfg=config, tags=set())
                added[kind].append(name)
    manager._all_tasks = sorted(index)
    manager._all_subtasks = sorted([*manager._all_subtasks, *added[Kind.PY_TASK]])
    manager._all_groups = sorted([*manager._all_groups, *added[Kind.GROUP]])


def set_members(manager: Any, group: str, config: Mapping[str, Any]) -> None:
    """Give a group of a ``TaskManager`` another configuration."""
    from lm_eval.tasks._index import Entry, Kind

    manager.task_index[group] = Entry(group, Kind.GROUP, None, cfg=dict(config), tags=set())


def task_manager(metadata: Mapping[str, Any] | None) -> Any:
    """As ``simple_evaluate`` makes one where it is given none."""
    from lm_eval.tasks import TaskManager

    return TaskManager(metadata=dict(metadata or {}))


def data_missing(manager: Any, name: str) -> str | None:
    """Why a task's data cannot be loaded, in a few words; None where they can. Builds the task."""
    try:
        manager.load([name])
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return f"{type(error).__name__}: {first:.100}"
    return None


def task_yaml(path: Path) -> dict[str, Any]:
    """A task's or group's YAML file, its ``!function`` entries left alone."""
    from lm_eval.tasks._yaml_loader import load_yaml

    return load_yaml(path, resolve_func=False)


def wrap_simple_evaluate(
    module: ModuleType,
    around: Callable[[dict[str, Any]], AbstractContextManager[None]],
    after: Callable[[dict[str, Any]], dict[str, Any]] = lambda results: results,
) -> None:
    """Every ``simple_evaluate`` runs within a context of ours.

    Args:
        module: ``lm_eval.evaluator``.
        around: called with all arguments by name, defaults included, which it may change.
        after: called with the results, in the process that has them.
    """
    original = module.simple_evaluate
    signature = inspect.signature(original)

    @functools.wraps(original)
    def simple_evaluate(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        with around(bound.arguments):
            found = original(*bound.args, **bound.kwargs)
        return found if found is None else after(found)

    setattr(module, "simple_evaluate", simple_evaluate)  # noqa: B010 - a module's attributes are not declared


def wrap_evaluate(module: ModuleType, before: Callable[[Any, list[Any]], None]) -> None:
    """Every ``evaluate``, which ``simple_evaluate`` calls too, is preceded by a check of ours.

    Args:
        module: ``lm_eval.evaluator``.
        before: called with the model and the task objects.
    """
    original = module.evaluate

    @functools.wraps(original)
    def evaluate(lm, task_dict, *args, **kwargs):
        before(lm, _task_objects(task_dict))
        return original(lm, task_dict, *args, **kwargs)

    setattr(module, "evaluate", evaluate)  # noqa: B010 - a module's attributes are not declared


def _task_objects(task_dict: Mapping[Any, Any]) -> list[Any]:
    """Of what ``TaskManager.load`` gives, or of the nested dictionaries of earlier releases."""
    if "tasks" in task_dict and isinstance(task_dict["tasks"], Mapping):
        return list(task_dict["tasks"].values())
    nested = [_task_objects(one) if isinstance(one, Mapping) else [one] for one in task_dict.values()]
    return [one for part in nested for one in part]


def is_cached(lm: object) -> bool:
    """Whether a model is asked through lm-eval's cache of answers (``--use_cache``)."""
    from lm_eval.api.model import CachingLM

    return isinstance(lm, CachingLM)


def name_results(tracker: Any, name: str) -> None:
    """Say what an ``EvaluationTracker`` calls the model, and so the folder of its results; after ``simple_evaluate``,
    which names it after ``pretrained``, or at random."""
    from lm_eval.utils import sanitize_model_name

    known = getattr(tracker, "general_config_tracker", None)
    if known is not None:
        known.model_name, known.model_name_sanitized = name, sanitize_model_name(name)


def wrap_saving(module: ModuleType, after: Callable[[Path, str | None, Any], None]) -> None:
    """A function of ours hears of each file that an ``EvaluationTracker`` has tried to write: where it cannot, lm-eval
    logs that and goes on.

    Args:
        module: ``lm_eval.loggers.evaluation_tracker``.
        after: called with the file's path, the task that it is of (None for the results of all), and what it holds.
    """
    kind = module.EvaluationTracker
    aggregated, of_task = kind.save_results_aggregated, kind.save_results_samples

    @functools.wraps(aggregated)
    def save_results_aggregated(self, results, samples=None):
        aggregated(self, results, samples)
        if self.output_path:
            output, date = Path(self.output_path), getattr(self, "date_id", "")
            single = output.suffix == ".json"
            name = f"{output.stem}_{date}.json" if single else f"results_{date}.json"
            after(_results_folder(self) / name, None, results)

    @functools.wraps(of_task)
    def save_results_samples(self, task_name, samples):
        of_task(self, task_name, samples)
        if self.output_path:
            after(
                _results_folder(self) / f"samples_{task_name}_{getattr(self, 'date_id', '')}.jsonl", task_name, samples
            )

    kind.save_results_aggregated, kind.save_results_samples = save_results_aggregated, save_results_samples


def _results_folder(tracker: Any) -> Path:
    output = Path(tracker.output_path)
    if output.suffix == ".json":
        return output.parent
    return output / str(tracker.general_config_tracker.model_name_sanitized)


def quiet_git(module: ModuleType) -> None:
    """Outside a repository git's complaint is not printed.

    Args:
        module: ``lm_eval.evaluator``, which puts the commit of the folder that it runs in into results.
    """
    original = module.get_git_commit_hash

    @functools.wraps(original)
    def get_git_commit_hash():
        command = ["git", "rev-parse", "--git-dir"]
        try:
            inside = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:  # no git
            inside = False
        return original() if inside else None

    setattr(module, "get_git_commit_hash", get_git_commit_hash)  # noqa: B010


def suggest_flags(module: ModuleType) -> None:
    """An unknown option of ``lm-eval run`` is answered with the nearest one.

    Args:
        module: ``lm_eval._cli.harness``.
    """
    init = module.HarnessCLI.__init__

    @functools.wraps(init)
    def new_init(self):
        init(self)
        error, options = self._parser.error, self._subparsers.choices["run"]._option_string_actions

        def with_suggestion(message):
            given = message.removeprefix("unrecognized arguments: ").split()
            unknown = next((word for word in given if word.startswith("-")), "")
            near = difflib.get_close_matches(unknown.partition("=")[0].replace("-", "_"), map(_underscored, options), 1)
            wanted = next((option for option in options if near and _underscored(option) == near[0]), None)
            error(message + (f": did you mean {wanted}?" if wanted and given[0] != message else ""))

        self._parser.error = with_suggestion

    module.HarnessCLI.__init__ = new_init


def _underscored(option: str) -> str:
    return option.replace("-", "_")


def wrap_make_table(module: ModuleType, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """``make_table`` of ``lm_eval.utils`` shows changed results."""
    original = module.make_table

    @functools.wraps(original)
    def make_table(result_dict, *args, **kwargs):
        return original(change(result_dict), *args, **kwargs)

    setattr(module, "make_table", make_table)  # noqa: B010


def replace_make_table(module: ModuleType, instead: Callable[[Callable[..., str], dict[str, Any], str], str]) -> None:
    """``make_table`` of ``lm_eval.utils``, whose texts are what a run prints last, is made by another function.

    Args:
        module: ``lm_eval.utils``.
        instead: called with what makes the table otherwise, the results, and ``results`` or ``groups``.
    """
    original = module.make_table

    @functools.wraps(original)
    def make_table(result_dict, column="results", *args, **kwargs):
        def make(shown, of=column):
            return original(shown, of, *args, **kwargs)

        return instead(make, result_dict, column)

    setattr(module, "make_table", make_table)  # noqa: B010


def add_run_flag(
    module: ModuleType, flag: str, explanation: str, around: Callable[[bool], AbstractContextManager[None]]
) -> None:
    """A flag of ``lm-eval run`` that is ours, and that lm-eval never sees.

    Args:
        module: ``lm_eval._cli.harness``.
        flag: such as ``--full-table``.
        explanation: for ``--help``.
        around: commands run within this context, called with whether the flag was given.
    """
    init, execute = module.HarnessCLI.__init__, module.HarnessCLI.execute
    name = flag.strip("-").replace("-", "_")

    @functools.wraps(init)
    def new_init(self):
        init(self)
        self._subparsers.choices["run"].add_argument(flag, action="store_true", help=explanation)

    @functools.wraps(execute)
    def new_execute(self, args):
        with around(vars(args).pop(name, False)):
            return execute(self, args)

    module.HarnessCLI.__init__ = new_init
    module.HarnessCLI.execute = new_execute


def wrap_commands(module: ModuleType, around: Callable[[], AbstractContextManager[None]]) -> None:
    """What a user types runs within a context of ours: reading its arguments, and doing what they say.

    Args:
        module: ``lm_eval._cli.harness``, which every way to start lm-eval goes through.
        around: a context manager.
    """
    for name in ("parse_args", "execute"):
        setattr(module.HarnessCLI, name, _within(getattr(module.HarnessCLI, name), around))


def _within(function: Callable[..., Any], around: Callable[[], AbstractContextManager[None]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inside(*args, **kwargs):
        with around():
            return function(*args, **kwargs)

    return inside


def missing_tasks(error: BaseException) -> list[str]:
    """The tasks that an error of lm-eval says it does not know; empty for any other error."""
    return _after(error, "Tasks not found: ").split(", ") if _after(error, "Tasks not found: ") else []


def missing_model(error: BaseException) -> str:
    """The model that an error of lm-eval says it does not know; empty for any other error."""
    rest = _after(error, "Attempted to load model '")
    return rest.partition("'")[0]


def bad_json(error: BaseException) -> str:
    """What is wrong with JSON on the command line, by an error of lm-eval; empty for any other error."""
    return _after(error, "Invalid JSON: ")


def _after(error: BaseException, beginning: str) -> str:
    text = str(error)
    return text.removeprefix(beginning) if isinstance(error, ValueError) and text.startswith(beginning) else ""
