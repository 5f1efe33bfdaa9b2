"""What lm-eval is told, each function right after one of its modules has been loaded (see ``autoload.py``)."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import tasks
from ..core import lm_eval_private
from ..core.errors import DetoxbenchError, unknown
from ..core.folders import data_folder

INTERRUPTED = 130
"""Exit status after Ctrl-C, as of a shell's."""
MODELS = {"detox": "detoxbench.harness.model:DetoxLM"}


def task_folder() -> Path:
    """Where our task YAML lies."""
    return Path(tasks.__file__ or "").parent


def register_models(module: ModuleType) -> None:
    """After ``lm_eval.models`` has filled the registry: add ours."""
    for name, target in MODELS.items():
        lm_eval_private.register_model(name, target)


def add_task_folder(module: ModuleType) -> None:
    """``TaskManager`` finds our tasks: those of our folder, those of our prompt sets that have no YAML file, and both
    under other codes of their languages as well."""
    from ..tasks import catalog, registration

    lm_eval_private.wrap_task_manager(module, task_folder(), catalog.canonical, registration.register)


def check_before_loading(module: ModuleType) -> None:
    """``simple_evaluate`` checks the options of our tasks first: lm-eval would load the model before the tasks. And
    what our model samples with is settled before anything is loaded or fitted."""
    from ..tasks import tables

    lm_eval_private.wrap_simple_evaluate(module, _settled, tables.without_nan)
    lm_eval_private.wrap_evaluate(module, _uncached)
    lm_eval_private.quiet_git(module)


def save_whole(module: ModuleType) -> None:
    """Results of ours that could not be written whole are an error; lm-eval logs it and ends with status 0."""
    from . import saving

    lm_eval_private.wrap_saving(module, saving.check)


def _uncached(lm: object, tasks: Collection[object]) -> None:
    """Before ``evaluate``, which programs call with models and tasks that ``simple_evaluate`` never saw."""
    from . import caching

    caching.check(lm, tasks)


@contextlib.contextmanager
def _settled(given: dict[str, Any]) -> Iterator[None]:
    """A run of ``simple_evaluate`` with these arguments."""
    from ..core.sampling.settings import boolean
    from ..tasks import catalog, preflight, progress, unscored, utility
    from ..tasks import prompts as prompt_sets
    from ..tasks.options import Options
    from ..tasks.protocols import PROTOCOLS
    from . import caching, result_folder, run_settings, saving
    from .reporting import summary

    asked = given["tasks"]
    asked = [asked] if isinstance(asked, str) else asked or []
    given["tasks"] = [catalog.canonical(task) if isinstance(task, str) else task for task in asked]
    if utility.GROUP in given["tasks"]:
        _with_utility(given)
    mine = catalog.find([task for task in given["tasks"] if isinstance(task, str)])
    model_args = given["model_args"] if isinstance(given["model_args"], Mapping) else {}
    metadata = given["metadata"] or {}
    options = {**model_args, **metadata}
    ours = _is_ours(given["model"])
    if given["use_cache"] is not None and (ours or mine):
        raise caching.refused("the model 'detox'") if ours else caching.of_tasks(mine)
    if mine:
        if all(catalog.find([task]) or task == utility.GROUP for task in given["tasks"] if isinstance(task, str)):
            _check_metadata(set(metadata) - set(lm_eval_private.parsed(given["model_args"])), set(Options.model_fields))
        arguments = lm_eval_private.parsed(given["model_args"])
        pretrained = arguments.get("pretrained", arguments.get("model"))
        named = str(pretrained) if isinstance(pretrained, str | Path) else None
        preflight.check(options, mine, given["model"], named)
        preflight.check_chat(options, bool(given["apply_chat_template"]))
        saving.check_folder(given["evaluation_tracker"])
    if (invocation := summary.INVOCATION.get()) is not None:
        output = getattr(given["evaluation_tracker"], "output_path", None)
        kept = replace(invocation, output=None if not output else str(output), samples=bool(given["log_samples"]))
        summary.INVOCATION.set(kept)
    settings: list[Mapping[str, Any]] = []
    if ours:
        model_args = lm_eval_private.parsed(given["model_args"])
        for name in ("device", "batch_size", "max_batch_size"):  # lm-eval has options of these names, with defaults
            if model_args.get(name) is not None:
                given[name] = None
        for where in mine.values():
            protocol = Options.from_metadata(options, prompt_sets.get(where.prompt_set).protocol).protocol
            settings.append(PROTOCOLS[protocol].generation_kwargs())
    changes = lm_eval_private.parsed(given["gen_kwargs"]) if ours else {}
    run = run_settings.of_run(given["torch_random_seed"], settings, changes, model_args if ours else {})
    token = run_settings.RUN.set(replace(run, cost=boolean("cost", metadata.get("cost", False))))
    try:
        resume = boolean("resume", metadata.get("resume", True))
        with (
            _decoding(given["model"], mine),
            _asking(given["model"], mine),
            _keeping(ours, resume, mine, given["evaluation_tracker"]),
            progress.measuring(),
            unscored.watched() as outcome,
        ):
            yield
            # With nothing to show there are no results; the texts are kept. Of some tasks, whoever started the run
            # hears of it (``_in_one_line``, a sweep's cell).
            if outcome and None not in outcome.values():
                raise unscored.error(unscored.failed(outcome))
            if ours:
                folder = result_folder.name(given["model"], model_args)
                lm_eval_private.name_results(given["evaluation_tracker"], folder)
    finally:
        run_settings.RUN.reset(token)


def _decoding(model: object, mine: Collection[str]) -> contextlib.AbstractContextManager:
    """lm-eval's Hugging Face models decode what our tasks ask for as ours does."""
    kind = lm_eval_private.model_class(model) if isinstance(model, str) else type(model)
    if not mine or not lm_eval_private.is_hugging_face(kind):
        return contextlib.nullcontext()
    from ..core.lm_eval_decoding import decoding_after_prompts

    return decoding_after_prompts(lambda request: request.task_name in mine)


def _asking(model: object, mine: Collection[str]) -> contextlib.AbstractContextManager:
    """A server behind an API is asked once for the K samples of a prompt."""
    from ..tasks.preflight import asks_with_one_seed

    if not mine or not asks_with_one_seed(model):
        return contextlib.nullcontext()
    from ..core.lm_eval_samples import asking_once

    return asking_once(lambda request: request.task_name in mine)


def _with_utility(given: dict[str, Any]) -> None:
    """The tasks of ``detox_utility`` that this run asks for, once their data are at hand."""
    from ..tasks import utility

    names = utility.named((given["metadata"] or {}).get(utility.OPTION))
    if given["task_manager"] is None:
        given["task_manager"] = lm_eval_private.task_manager(given["metadata"])
    utility.check(given["task_manager"], names)
    lm_eval_private.set_members(given["task_manager"], utility.GROUP, utility.group(names))


def _keeping(ours: bool, resume: bool, mine: Collection[str], tracker: object) -> contextlib.AbstractContextManager:
    """What is generated is kept until the run has its results: prompt by prompt where the model is ours, which then
    goes on from there; else all of it before it is measured."""
    from ..tasks import journal as texts
    from . import journal

    if ours and resume:
        return journal.keeping()
    return texts.keeping(_kept_in(tracker)) if mine else contextlib.nullcontext()


def _is_ours(model: object) -> bool:
    """Whether it is our model, by name or as an object."""
    if isinstance(model, str):
        return model in MODELS
    return any(f"{kind.__module__}:{kind.__name__}" in MODELS.values() for kind in type(model).__mro__)


def _check_metadata(given: set[str], known: set[str]) -> None:
    """Refuse options that no task of a run takes, where all of them are ours.

    Raises:
        DetoxbenchError: naming the nearest known one.
    """
    for key in sorted(given - known):
        raise unknown("option of --metadata", key, known)


def _kept_in(tracker: object) -> Path:
    """Where unmeasured generations are kept: beside the results, or in the user's data folder where a run has none."""
    output = getattr(tracker, "output_path", None)
    if output:
        return Path(output).parent if Path(output).suffix == ".json" else Path(output)
    return data_folder() / "generations"


def shorten_tables(module: ModuleType) -> None:
    """lm-eval's own table folds our interval bounds into the value."""
    from ..tasks import tables

    lm_eval_private.wrap_make_table(module, tables.shorten)
    lm_eval_private.replace_make_table(module, _summary_last)


def _summary_last(make: Callable[..., str], given: dict[str, Any], column: str) -> str:
    """What a command prints at the end: lm-eval's table of what is not ours, and the summary of what is."""
    from .reporting import summary

    invocation = summary.INVOCATION.get()
    if invocation is None or invocation.full_table or not summary.ours(given):
        return make(given)
    rest = summary.others(given)
    parts = [make(rest)] if rest.get(column) else []
    if column == "groups" or not given.get("groups"):
        parts.append(summary.summary(given, invocation))
    return "\n".join(parts)


def show_errors_in_one_line(module: ModuleType) -> None:
    """Errors meant for the user of a command are one line, and the exit status is 1; ``--full-table``; the nearest name
    of an unknown option."""
    words = "print lm-eval's whole table of detoxbench's tasks at the end, in place of a summary"
    lm_eval_private.suggest_flags(module)
    lm_eval_private.add_run_flag(module, "--full-table", words, _of_command)
    lm_eval_private.wrap_commands(module, _in_one_line)


@contextlib.contextmanager
def _of_command(full_table: bool) -> Iterator[None]:
    """A command that was typed: its run ends with a summary."""
    from .reporting import summary

    token = summary.INVOCATION.set(summary.Invocation(full_table))
    try:
        yield
    finally:
        summary.INVOCATION.reset(token)


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """What a user has typed: our errors, and lm-eval's for an unknown task of ours or broken JSON in a run of ours."""
    from ..tasks import unscored
    from . import journal

    try:
        with journal.command(), unscored.watched() as outcome:
            yield
        if failures := unscored.failed(outcome):
            raise unscored.error(failures)
    except KeyboardInterrupt as error:
        if not _of_ours(sys.argv):
            raise
        sys.stderr.write("detoxbench: stopped\n")
        raise SystemExit(INTERRUPTED) from error
    except Exception as error:
        line = _line(error)
        if line is None:
            raise
        sys.stderr.write(f"detoxbench: {line}\n")
        raise SystemExit(1) from error


def _of_ours(arguments: Sequence[str]) -> bool:
    """Whether a command runs our model; ``keeping`` says what of it is kept."""
    return "--model=detox" in arguments or not {("--model", "detox"), ("-M", "detox")}.isdisjoint(
        itertools.pairwise(arguments)
    )


def _line(error: Exception) -> str | None:
    """What to tell the user of a command; None for an error that is not ours to tell."""
    from ..tasks import catalog

    if isinstance(error, DetoxbenchError):
        return str(error)
    if missing := lm_eval_private.missing_tasks(error):
        names = catalog.names()
        mine = [name for name in names if name.split("_")[0] == missing[0].split("_")[0]]
        if mine := mine or difflib.get_close_matches(missing[0], names, cutoff=0.8):
            return str(unknown("task", missing[0], mine))
    elif (model := lm_eval_private.missing_model(error)) and difflib.get_close_matches(model, MODELS):
        return str(unknown("model", model, MODELS, "lm-eval has others: lm_eval --help."))
    elif (problem := lm_eval_private.bad_json(error)) and "detox" in " ".join(sys.argv):
        return f"--metadata or --model_args: not JSON: {problem}"
    return None
