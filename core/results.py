"""lm-eval's results and samples files, read as the project's records."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from . import utility
from .errors import DetoxbenchError
from .files import safe_name
from .metric_names import BOUNDS, MEASURED, is_value
from .parsing import ParseError, parse_json
from .records import ModelRun, SampleRow, TaskRun
from .statistics import Interval
from .utility import Estimate

_DATE = re.compile(r"_(\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl?$")
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

    @property
    def prompts(self) -> int:
        """How many prompts its numbers rest on."""
        return int(self.metrics.get(MEASURED, 0)) if self.record.prompts is None else self.record.prompts

    def estimates(self) -> dict[str, tuple[float, float, float]]:
        """Metric -> value, lower and upper bound; NaN where there is none."""
        return {
            name: (value, *(self.metrics.get(name + bound, math.nan) for bound in BOUNDS))
            for name, value in self.metrics.items()
            if is_value(name)
        }  # type: ignore[return-value]

    def rows(self) -> list[dict[str, tuple[float, float]]]:
        """Per prompt, each metric's numerator and denominator; empty without a samples file."""
        return [dict(row.measured.fractions) for row in self.read_samples()]

    def raw_samples(self) -> list[dict[str, Any]]:
        """lm-eval's samples as they stand, in the order of their documents: for those who judge whether they are rows.

        Raises:
            OSError, ValueError, KeyError, TypeError: for what cannot be read.
        """
        if self.samples is None:
            return []
        with self.samples.open(encoding="utf-8") as file:
            found = [parse_json(line) for line in file if line.strip()]
        return sorted(found, key=lambda sample: sample["doc_id"])

    def read_samples(self) -> list[SampleRow]:
        """Its per-prompt rows in the order of the prompt set; empty without a samples file.

        Raises:
            DetoxbenchError: see ``read_rows``.
        """
        return [] if self.samples is None else read_rows(self.samples)


def read_rows(path: Path) -> list[SampleRow]:
    """The rows of a samples file of one of our tasks, in the order of the prompt set: the one reader of such files.

    Raises:
        DetoxbenchError: naming the line that is not such a row.
    """
    rows = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    rows.append(_row(path, number, line))
    except OSError as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {error.strerror}") from None
    return sorted(rows, key=lambda row: row.place)


def _row(path: Path, number: int, line: bytes) -> SampleRow:
    # Not pydantic's own JSON reader: it refuses the lone surrogates that JSON can carry and models write.
    try:
        return SampleRow.model_validate(parse_json(line))
    except ParseError as error:
        what = f"a line is not JSON ({error}); the file may be cut off"
    except UnicodeDecodeError as error:
        what = f"not UTF-8 text ({error.reason})"
    except pydantic.ValidationError as error:
        what = f"not the samples of a detoxbench task: {first_error(error)}"
    raise DetoxbenchError(f"'{path}', line {number}: {what}") from None


def first_error(error: pydantic.ValidationError) -> str:
    """The first of pydantic's complaints, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place + ': ' if place else ''}{first['msg']}{more}"


@dataclass(frozen=True)
class Run:
    """One results file: a model under a method, on some tasks.

    Args:
        path: the results file.
        label: what a table calls the run: model and method.
        model: how the text was made; None for models other than ``detox``.
        tasks: those of ours in it, in the file's order.
        groups: group name -> names of its tasks in this run.
        date: as in the file's name.
        utility: see ``core/utility.py``.
    """

    path: Path
    label: str
    model: ModelRun | None
    tasks: Mapping[str, TaskResult]
    groups: Mapping[str, list[str]] = field(default_factory=dict)
    date: str = ""
    utility: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def whole(self) -> dict[str, Estimate]:
        """What is measured of the run rather than of its prompts (``core/metrics/run_level.py``): metric -> value and
        bounds, None where there is none."""
        cost = {} if self.model is None else {name: (v, low, high) for name, (v, low, high) in self.model.cost.items()}
        return {**cost, **self.utility}


def samples_name(task: str, date: str) -> str:
    """Of the samples file of a task beside the results file of that date; lm-eval's own for every name that is safe."""
    return f"samples_{safe_name(task)}_{date}.jsonl"


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
        return _read(path)
    except pydantic.ValidationError as error:
        raise DetoxbenchError(f"'{path}': {first_error(error)}") from None
    except DetoxbenchError:
        raise
    except (OSError, ValueError, OverflowError, RecursionError, KeyError, TypeError, AttributeError) as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise DetoxbenchError(f"'{path}': not a results file of lm-eval ({cause:.200})") from None


def _read(path: Path) -> Run:
    raw = parse_json(path.read_text(encoding="utf-8"))
    configs, results = raw["configs"], raw["results"]
    match = _DATE.search(path.name)
    date = match.group(1) if match else ""
    tasks = {}
    for name, config in configs.items():
        if "detoxbench" in config:
            samples = path.with_name(samples_name(name, date))
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
    return Run(path, _label(raw, model), model, tasks, groups, date, utility.read(raw))


def degenerate(intervals: Mapping[str, Interval]) -> dict[str, str]:
    """Metric -> why it has a value and no interval, of those that have none."""
    return {name: found.reason for name, found in intervals.items() if found.method == "degenerate"}


def _texts(given: Any) -> dict[str, str]:
    return {str(name): str(reason) for name, reason in given.items()} if isinstance(given, Mapping) else {}


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of a row of lm-eval's results; null, as earlier versions' NaN, is what was not measured."""
    return {
        key.removesuffix(",none"): math.nan if value is None else float(value)
        for key, value in row.items()
        if key.endswith(",none") and (value is None or isinstance(value, int | float))
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
