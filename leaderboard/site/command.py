"""The command that makes a run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from ...core.constants import MINI, SAMPLES
from ..submissions import RunRecord

FLAGS = ("--model_args", "--tasks", "--metadata", "--limit", "--seed", "--log_samples")
"""Which begin a line."""


def command(record: RunRecord) -> str:
    """As one types it in a shell, on several lines; every argument is quoted where it has to be."""
    model, first = record.model, record.tasks[0].run
    words = ["lm_eval"]
    if model is None:
        words += ["--model", "hf", "--model_args", f"pretrained={record.label}"]
    else:
        arguments: dict[str, Any] = {} if model.pretrained == MINI else {"pretrained": model.pretrained}
        if model.method != "none":
            arguments["method"] = model.method
        arguments |= model.method_arguments
        words += ["--model", "detox"]
        if arguments:
            words += ["--model_args", _arguments(arguments)]
    words += ["--tasks", ",".join(task.name for task in record.tasks)]
    metadata = {
        "scorer": first.scorer if first.scorer != MINI else None,
        "fluency_model": "none" if first.fluency_model is None else first.fluency_model,
        "samples": first.samples if first.samples != SAMPLES else None,
    }
    if metadata["fluency_model"] == MINI:
        del metadata["fluency_model"]
    given = {key: value for key, value in metadata.items() if value is not None}
    if given:
        words += ["--metadata", json.dumps(given, ensure_ascii=False)]
    limits = [task.prompts for task in record.tasks if task.limited]
    if limits:
        words += ["--limit", str(max(limits))]
    if model is not None and model.seed is not None:
        words += ["--seed", str(model.seed)]
    lines: list[list[str]] = []
    for word in [*words, "--log_samples", "--output_path", "results"]:
        if word in FLAGS or not lines:
            lines.append([])
        lines[-1].append(word)
    return " \\\n    ".join(map(shlex.join, lines))


def _arguments(values: Mapping[str, Any]) -> str:
    """lm-eval's ``name=value,name=value``; as JSON where a value could be taken for something else."""
    plain = all(isinstance(value, str | int | float | bool) for value in values.values())
    if plain and not any(sign in str(value) for value in values.values() for sign in ",="):
        return ",".join(f"{name}={value}" for name, value in values.items())
    return json.dumps(dict(values), ensure_ascii=False)
