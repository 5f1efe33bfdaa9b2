"""One run of lm-eval in this process, into a folder that appears when it is whole and says what it was made from."""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core import results
from ...core.errors import DetoxbenchError, unknown
from ...core.files import write_text
from ...core.parsing import parse_json
from ...tasks import catalog, registration, unscored
from ..plugin import task_folder

CELL = "cell.json"


class NotFirst(DetoxbenchError):
    """This is not the first of several processes, which alone has the results."""


def check_tasks(tasks: Sequence[str]) -> None:
    """Refuse a task that is not ours before anything is fitted."""
    known = catalog.tasks()
    for name in tasks:
        if name not in known:
            near = [other for other in known if other.rpartition("_")[0] == name.rpartition("_")[0]]
            raise unknown("task", name, near or known)


def done(folder: Path, key: Mapping[str, Any]) -> bool:
    """Whether a run made from exactly this lies there."""
    try:
        return parse_json((folder / CELL).read_text(encoding="utf-8"))["key"] == parse_json(
            json.dumps(key, default=str)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def evaluate(
    folder: Path,
    key: Mapping[str, Any],
    model_args: Mapping[str, Any],
    tasks: Sequence[str],
    *,
    metadata: Mapping[str, Any],
    limit: int | None = None,
    seed: int = 0,
    chat: bool = False,
) -> results.Run:
    """Run lm-eval's model ``detox`` on some tasks and write what ``lm_eval --log_samples --output_path`` writes.

    Args:
        folder: what was in it is replaced.
        key: all that the run depends on; it is kept beside the results.
        model_args: of ``detox``.
        tasks: names.
        metadata: of the tasks.
        limit: only the first prompts.
        seed: of the sampling noise.
        chat: through the model's chat template.

    Raises:
        DetoxbenchError: for an unknown task or a wrong argument, or a task of which no text could be scored.
    """
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    # Our tasks alone: lm-eval's index of its own thousands takes seconds.
    manager = TaskManager(include_defaults=False, include_path=str(task_folder()), metadata=dict(metadata))
    registration.register(manager)
    with unscored.watched() as outcome:
        found = lm_eval.simple_evaluate(
            "detox", model_args={**model_args, "seed": seed}, tasks=list(tasks), metadata=dict(metadata),
            task_manager=manager, limit=limit, bootstrap_iters=0, torch_random_seed=seed, random_seed=seed,
            numpy_random_seed=seed, log_samples=True, apply_chat_template=chat,
        )  # fmt: skip
    if failures := unscored.failed(outcome):
        raise unscored.error(failures)
    if found is None:
        raise NotFirst("lm-eval gave no results: run 'detoxbench continual' in one process")
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    samples = found.pop("samples")
    tracker = EvaluationTracker(output_path=str(partial))
    tracker.general_config_tracker.log_experiment_args("detox", dict(model_args), None, None, False)
    tracker.general_config_tracker.model_name_sanitized = "run"  # else a path, which may be too long for a name
    tracker.save_results_aggregated(results=found, samples=samples)
    for task, rows in samples.items():
        tracker.save_results_samples(task_name=task, samples=rows)
    write_text(partial / CELL, [json.dumps({"key": key}, indent=1, default=str)])
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    gc.collect()
    return load(folder)


def load(folder: Path) -> results.Run:
    """The run in a folder."""
    return results.read(results.find(folder)[-1])
