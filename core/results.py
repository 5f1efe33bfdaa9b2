"""lm-eval's results and samples files, read as the project's records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import DetoxbenchError
from .records import ModelRun, TaskRun
from .statistics import Interval

_DATE = re.compile(r"_(\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl?$")
MEASURED = "measured"
DEGENERATE = "detoxbench_degenerate"
"""Key in a task's configuration: metric -> why it has a value and no interval."""


@dataclass(frozen=True)
class TaskResult:
    """One task of a run.

    Args:
        name: lm-eval's task name.
        record: what its numbers depend on.
        metrics: lm-eval's metric key without the filter -> value.
        samples: the file of its per-prompt rows; None if the run was not started with ``--log_samples``.
        available: prompts of the task before any ``--limit``; None where the file does not say.
        degenerate: metric -> why it has no interval.
    """

    name: str
    record: TaskRun
    metrics: Mapping[str, float]
    samples: Path | None
    available: int | None = None
    degenerate: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[dict[str, tuple[float, float]]]:
        """Per prompt, each metric's numerator and denominator; empty without a samples file."""
        return [
            {name: (float(pair[0]), float(pair[1])) for name, pair in sample[MEASURED]["fractions"].items()}
            for sample in self.read_samples()
        ]

    def read_samples(self) -> Iterator[dict[str, Any]]:
        """lm-eval's samples, in order of their documents."""
        if self.samples is None:
            return
        with self.samples.open(encoding="utf-8") as file:
            found = [json.loads(line) for line in file if line.strip()]
        yield from sorted(found, key=lambda sample: sample["doc_id"])


@dataclass(frozen=True)
class Run:
    """One results file: a model under a method, on some tasks.

    Args:
        path: the results file.
        label: what a table calls the run: model and method.
        model: how the text was made; None for models other than ``detox``.
        tasks: those of ours in it, in the file's order.
        groups: group name -> names of its tasks in this run.
    """

    path: Path
    label: str
    model: ModelRun | None
    tasks: Mapping[str, TaskResult]
    groups: Mapping[str, list[str]] = field(default_factory=dict)
    date: str = ""


def find(folder: Path) -> list[Path]:
    """The results files below a folder, or the one file given, oldest first.

    Raises:
        DetoxbenchError: if there is none.
    """
    if folder.is_file():
        return [folder]
    if not folder.exists():
        raise DetoxbenchError(f"'{folder}': there is no such folder; give lm-eval's --output_path")
    found = sorted(folder.rglob("results_*.json"), key=lambda path: (path.name, str(path)))
    if not found:
        raise DetoxbenchError(f"'{folder}': no results_*.json in it; run lm_eval with --output_path '{folder}'")
    return found


def read(path: Path) -> Run:
    """One results file with the samples files that lie beside it.

    Raises:
        DetoxbenchError: if the file is not lm-eval's, or none of our tasks is in it.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        configs, results = raw["configs"], raw["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DetoxbenchError(f"'{path}': not a results file of lm-eval ({type(error).__name__}: {error})") from None
    match = _DATE.search(path.name)
    date = match.group(1) if match else ""
    tasks = {}
    for name, config in configs.items():
        if "detoxbench" in config:
            samples = path.with_name(f"samples_{name}_{date}.jsonl")
            tasks[name] = TaskResult(
                name=name,
                record=TaskRun(**config["detoxbench"]),
                metrics=_numbers(results.get(name, {})),
                samples=samples if samples.is_file() else None,
                available=_available(raw.get("n-samples"), name),
                degenerate=_texts(config.get(DEGENERATE)),
            )
    if not tasks:
        raise DetoxbenchError(f"'{path}': none of detoxbench's tasks is in it; it has {', '.join(configs) or 'none'}")
    block = raw.get("config", {}).get("detoxbench")
    model = ModelRun(**block) if block else None
    groups = {
        group: [task for task in members if task in tasks]
        for group, members in raw.get("group_subtasks", {}).items()
        if any(task in tasks for task in members)
    }
    return Run(path, _label(raw, model), model, tasks, groups, date)


def degenerate(intervals: Mapping[str, Interval]) -> dict[str, str]:
    """Metric -> why it has a value and no interval, of those that have none."""
    return {name: found.reason for name, found in intervals.items() if found.method == "degenerate"}


def _texts(given: Any) -> dict[str, str]:
    return {str(name): str(reason) for name, reason in given.items()} if isinstance(given, Mapping) else {}


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {
        key.removesuffix(",none"): float(value)
        for key, value in row.items()
        if key.endswith(",none") and isinstance(value, int | float)
    }


def _available(counts: Any, name: str) -> int | None:
    """Prompts of a task before ``--limit``, as lm-eval counted them."""
    count = counts.get(name) if isinstance(counts, Mapping) else None
    original = count.get("original") if isinstance(count, Mapping) else None
    return original if isinstance(original, int) and original > 0 else None


def _label(raw: Mapping[str, Any], model: ModelRun | None) -> str:
    if model is None:
        arguments = raw.get("config", {}).get("model_args")
        pretrained = arguments.get("pretrained") if isinstance(arguments, Mapping) else None
        return str(pretrained or raw.get("model_name") or raw.get("config", {}).get("model", "?"))
    arguments = ", ".join(f"{name}={value}" for name, value in model.method_arguments.items())
    return f"{model.pretrained}, {model.method}" + (f" ({arguments})" if arguments else "")
