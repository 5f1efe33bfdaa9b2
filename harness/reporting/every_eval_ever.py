"""A run in the schema of Every Eval Ever (evalevalai.com), for its shared collection of evaluation results."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from ...core.constants import CONFIDENCE, MINI, RESAMPLES
from ...core.errors import DetoxbenchError, missing_extra
from ...core.metrics import METRICS
from ...core.registry import PROMPTS
from ...core.results import Run, TaskResult
from ...core.statistics import Interval
from .rows import task_row

SCHEMA_VERSION = "0.3.0"
"""Of ``eval.schema.json`` in the package every-eval-ever 0.3.0."""
_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def document(run: Run, organization: str = "unknown", retrieved: float | None = None) -> dict[str, Any]:
    """The run as one record: every metric of every task, with its interval.

    Args:
        organization: who ran it.
        retrieved: seconds since 1970; now where left out.
    """
    at = str(time.time() if retrieved is None else retrieved)
    model = run.model
    name = run.label if model is None else model.pretrained
    results = [one for task in run.tasks.values() for one in _results(run, task)]
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"detoxbench/{name.replace('/', '_')}/{at}",
        **({"evaluation_timestamp": stamp} if (stamp := _timestamp(run.date)) else {}),
        "retrieved_timestamp": at,
        "source_metadata": {
            "source_name": "detoxbench",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "lm_eval",
            "version": _version(run, "lm_eval", "lm-eval"),
            "additional_details": {"plugin": "detoxbench", "plugin_version": _version(run, "detoxbench")},
        },
        "model_info": {
            "name": run.label,
            "id": name if _HUB.fullmatch(name) else f"unknown/{name}",
            "additional_details": _model_details(run),
        },
        "evaluation_results": results,
    }


def validate(found: Mapping[str, Any]) -> None:
    """Against the package's own types.

    Raises:
        DetoxbenchError: without the package every-eval-ever (Python 3.12); if the record is not of its schema.
    """
    try:
        import jsonschema
        from every_eval_ever.eval_types import EvaluationLog  # pyright: ignore[reportMissingImports]
        from every_eval_ever.schema import schema_json  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise missing_extra("every-eval-ever", "eee", "--validate") from None
    try:
        jsonschema.validate(found, schema_json())
        EvaluationLog.model_validate_json(json.dumps(found))
    except (ValueError, jsonschema.ValidationError) as error:
        raise DetoxbenchError(f"not a record of Every Eval Ever: {' '.join(str(error).split())[:300]}") from None


def _results(run: Run, task: TaskResult) -> list[dict[str, Any]]:
    record = task.record
    found = []
    for name, interval in task_row(task).items():
        if name in METRICS and METRICS[name].higher_is_better is not None and interval is not None:
            if math.isnan(interval.value):
                continue
            found.append(
                {
                    "evaluation_result_id": f"{task.name}/{name}",
                    "evaluation_name": task.name,
                    "source_data": _source(task),
                    **({"evaluation_timestamp": stamp} if (stamp := _timestamp(run.date)) else {}),
                    "metric_config": _metric(name, task),
                    "score_details": {"score": interval.value, "uncertainty": _uncertainty(interval, task)},
                    "generation_config": {
                        "generation_args": _generation(record.generation),
                        "additional_details": {
                            "samples_per_prompt": str(record.samples),
                            "sampling_protocol": record.sampling_protocol,
                            "protocol": record.protocol,
                        },
                    },
                }
            )
    return found


def _source(task: TaskResult) -> dict[str, Any]:
    record = task.record
    name = record.prompt_set.partition("/")[0]
    known = PROMPTS[name].card if name in PROMPTS else None
    details = {"prompts_sha256": record.prompts_sha256, "language": record.lang or "mixed"}
    if record.prompts_revision:
        details["revision"] = record.prompts_revision
    about = {"dataset_name": record.prompt_set, "additional_details": details}
    if known is not None and known.repository and _HUB.fullmatch(known.repository):
        return {**about, "source_type": "hf_dataset", "hf_repo": known.repository, "samples_number": task.prompts}
    return {**about, "source_type": "other"}


def _metric(name: str, task: TaskResult) -> dict[str, Any]:
    metric = METRICS[name]
    low, high = metric.bounds
    bounds = {"min_score": _bound(low), "max_score": _bound(high)}
    return {
        "evaluation_description": metric.description,
        "metric_id": f"detoxbench.{name}",
        "metric_name": metric.display_name,
        "metric_kind": name,
        "metric_unit": metric.unit,
        "lower_is_better": not metric.higher_is_better,
        "score_type": "continuous",
        **bounds,
        "additional_details": {
            "scorer": task.record.scorer,
            "scorer_version": task.record.scorer_version,
            "fluency_model": task.record.fluency_model or "none",
            **{name: str(value) for name, value in task.record.constants.items()},
        },
    }


def _bound(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _uncertainty(interval: Interval, task: TaskResult) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": task.prompts}
    if not math.isnan(interval.low):
        found["confidence_interval"] = {
            "lower": interval.low, "upper": interval.high, "confidence_level": CONFIDENCE,
            "method": "bootstrap over prompts (BCa); shares: exact binomial at the effective sample size",
        }  # fmt: skip
        found["num_bootstrap_samples"] = RESAMPLES
    return found


def _generation(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_gen_toks": "max_tokens"}
    return {new: settings[old] for old, new in names.items() if isinstance(settings.get(old), int | float)}


def _model_details(run: Run) -> dict[str, str]:
    model = run.model
    unknown = {"deployment_type": "unknown", "model_availability": "unknown"}
    if model is None:
        return unknown
    return {
        **unknown,
        "deployment_type": "self_deployed",
        "method": model.method,
        "method_arguments": json.dumps(dict(model.effective_arguments or model.method_arguments), default=str),
        "mini": str(model.pretrained == MINI).lower(),
        "hardware": model.hardware or "unknown",
    }


def _version(run: Run, *names: str) -> str:
    versions = {} if run.model is None else run.model.versions
    known = next((versions[name] for name in names if name in versions), None)
    return known or version(names[-1])


def _timestamp(date: str) -> str | None:
    """lm-eval's ``2026-01-02T03-04-05.678`` as seconds since 1970, in text."""
    match = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)", date)
    if match is None:
        return None
    day, hour, minute, second = match.groups()
    at = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}").replace(tzinfo=timezone.utc)
    return str(int(at.timestamp()))
