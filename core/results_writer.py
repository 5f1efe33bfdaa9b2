"""Runs that lm-eval did not make, written as lm-eval would: ``results_<date>.json`` and a samples file a task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .files import write_json, write_lines
from .metric_names import HIGH, LOW, MEASURED
from .parsing import parse_json
from .records import ModelRun, SampleRow, TaskRun
from .results import DEGENERATE, degenerate, samples_name
from .statistics import Interval

PROGRAM = "detoxbench score"
"""Says in ``config.model`` who wrote the file."""


@dataclass(frozen=True)
class TaskOutput:
    """What is written of one task.

    Args:
        name: of the task.
        record: what its numbers depend on.
        metrics: name -> value and interval.
        samples: its rows.
        higher_is_better: name -> direction.
    """

    name: str
    record: TaskRun
    metrics: Mapping[str, Interval]
    samples: Sequence[SampleRow]
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)


def write_run(
    folder: Path,
    tasks: Sequence[TaskOutput],
    *,
    label: str,
    model: ModelRun | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write a run; one that this program wrote to the folder before is replaced by it.

    Args:
        folder: made if it does not exist.
        tasks: of the run.
        label: what a table calls it, where ``model`` is not known.
        model: how the text was made.
        groups: group name -> names of its tasks.

    Returns:
        The results file. It is written last: a run without one is not finished.
    """
    earlier = _ours(folder)
    date = f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S.%f}"
    for task in tasks:
        write_lines(folder / samples_name(task.name, date), (row.as_sample() for row in task.samples))
    blocks = {task.name: task.record.model_dump(mode="json") for task in tasks}
    config: dict[str, Any] = {"model": PROGRAM, "model_args": {"pretrained": label}}
    if model is not None:
        config["detoxbench"] = model.model_dump(mode="json")
    content = {
        "results": {task.name: _row(task) for task in tasks},
        "group_subtasks": {name: list(members) for name, members in (groups or {}).items()},
        "configs": {
            task.name: {"task": task.name, "detoxbench": blocks[task.name], DEGENERATE: degenerate(task.metrics)}
            for task in tasks
        },
        "higher_is_better": {task.name: dict(task.higher_is_better) for task in tasks},
        "n-samples": {
            task.name: {"original": len(task.samples), "effective": len(task.samples)} for task in tasks
        },
        "config": config,
        "model_name": label,
        "date": datetime.now(timezone.utc).timestamp(),
    }  # fmt: skip
    path = folder / f"results_{date}.json"
    write_json(path, content, indent=2)
    for old in earlier:
        old.unlink(missing_ok=True)
        for samples in folder.glob(f"samples_*_{old.stem.removeprefix('results_')}.jsonl"):
            samples.unlink(missing_ok=True)
    return path


def _row(task: TaskOutput) -> dict[str, Any]:
    row: dict[str, Any] = {"alias": task.name, "sample_len": len(task.samples), f"{MEASURED},none": len(task.samples)}
    for name, found in task.metrics.items():
        for part, value in (("", found.value), (LOW, found.low), (HIGH, found.high)):
            # What was not measured is null: strict readers of JSON know no NaN.
            row[f"{name}{part},none"] = None if math.isnan(value) else value
    return row


def _ours(folder: Path) -> list[Path]:
    found = []
    for path in folder.glob("results_*.json"):
        try:
            if parse_json(path.read_text(encoding="utf-8"))["config"]["model"] == PROGRAM:
                found.append(path)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
