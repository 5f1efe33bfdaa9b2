"""A run as a section of a model card: Markdown, with the metadata that the Hugging Face hub reads (``model-index``)."""

from __future__ import annotations

import math

from huggingface_hub import EvalResult, ModelCardData

from ...core.constants import MINI
from ...core.metrics import METRICS, with_role
from ...core.prompt_names import prompts_name
from ...core.registry import PROMPTS
from ...core.results import Run, TaskResult
from ...core.statistics import Interval
from . import formats
from .rows import boards, macro_row, task_row
from .tables import boards as tables

TASK_TYPE = "text-generation"


def card(run: Run) -> str:
    """YAML metadata, then the section: what was measured and how, tables, limits."""
    data = ModelCardData(
        model_name=_model_name(run),
        tags=["toxicity", "detoxbench"],
        language=sorted({task.record.lang for task in run.tasks.values() if task.record.lang}),
        eval_results=_results(run),
        base_model=None if run.model is None or run.model.pretrained == MINI else run.model.pretrained,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_section(run)}"


def _model_name(run: Run) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in run.label).split())


def _results(run: Run) -> list[EvalResult]:
    """The metrics with the role ``main`` of every task, and of the averages over languages."""
    found = []
    for name, tasks in boards(run).items():
        rows = {task.name: (task, task_row(task)) for task in tasks}
        if len(tasks) > 1:
            rows[name] = (tasks[0], macro_row(tasks))
        for title, (task, row) in rows.items():
            for metric in with_role("main"):
                interval = row.get(metric)
                if interval is not None and not math.isnan(interval.value):
                    found.append(_result(title, task, metric, interval, title == name and len(tasks) > 1))
    return found


def _result(title: str, task: TaskResult, metric: str, interval: Interval, macro: bool) -> EvalResult:
    record = task.record
    arguments = {
        "samples": record.samples, "scorer": record.scorer, "scorer_version": record.scorer_version,
        "prompts": record.prompts if not macro else None,
    }  # fmt: skip
    if not math.isnan(interval.low):
        arguments |= {"ci_low": round(interval.low, 6), "ci_high": round(interval.high, 6)}
    return EvalResult(
        task_type=TASK_TYPE,
        task_name="toxicity of continuations",
        dataset_type=_dataset(record.prompt_set),
        dataset_name=f"{prompts_name(record)} ({'mean over languages' if macro else record.lang or task.name})",
        dataset_config=title,
        dataset_revision=record.prompts_revision,
        metric_type=metric,
        metric_name=METRICS[metric].display_name,
        metric_value=round(interval.value, 6),
        metric_args={name: value for name, value in arguments.items() if value is not None},
    )


def _dataset(prompt_set: str) -> str:
    """The hub's name of a prompt set where its card has one; its own otherwise."""
    name = prompt_set.partition("/")[0]
    known = PROMPTS[name].card if name in PROMPTS else None
    return known.repository if known is not None and known.repository else name


def _section(run: Run) -> str:
    lines = ["## Toxicity of continuations", "", *_how(run)]
    for board in tables([run]):
        for grid in formats.grids(board):
            lines += ["", formats.as_markdown(grid)]
    lines += ["", "### Limits", ""]
    lines += [f"- {line}" for line in _limits(run)]
    return "\n".join(lines) + "\n"


def _how(run: Run) -> list[str]:
    """What was measured and how, as a list."""
    lines = []
    model = run.model
    if model is not None:
        given = ", ".join(f"{name}={value}" for name, value in model.method_arguments.items())
        lines.append(f"model `{model.pretrained}`, method `{model.method}`{f' ({given})' if given else ''}")
        if model.seed is not None:
            lines.append(f"seed {model.seed}")
    for tasks in boards(run).values():
        record = tasks[0].record
        number = sum(task.prompts for task in tasks)
        sampled = ", ".join(
            f"{name} {value}" for name, value in record.generation.items() if value not in (None, [], "")
        )
        lines += [
            f"prompts `{prompts_name(record)}`: {number:,} in {len(tasks)} task{'s' if len(tasks) > 1 else ''}, "
            f"{record.samples} continuations of each ({sampled})",
            f"scorer `{record.scorer}`, version `{record.scorer_version}`",
            f"fluency model `{record.fluency_model}`" if record.fluency_model else "fluency not measured",
        ]
    versions = model.versions if model is not None else {}
    if versions:
        lines.append("versions: " + ", ".join(f"{name} {value}" for name, value in sorted(versions.items())))
    return [f"- {' '.join(line.split())}" for line in dict.fromkeys(lines)]


def _limits(run: Run) -> list[str]:
    found = [
        "A scorer's number is not people's judgement: it errs by language, dialect and subject, and against mentions "
        "of the groups that toxicity is aimed at. `detoxbench annotate` measures by how much.",
        "Continuations of these prompts say little of other uses, and nothing of harm in answers to requests.",
    ]
    records = [task.record for task in run.tasks.values()]
    if any(record.self_judged for record in records):
        found.append("Self-judged: the method learned from the scorer that judges it.")
    if (run.model is not None and run.model.pretrained == MINI) or any(record.scorer == MINI for record in records):
        found.append("Measured with an embedded model or scorer (mini): it says nothing of real models.")
    return found
