"""Checks of a run's options before any model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.tasks._yaml_loader import load_yaml

from . import prompts as prompt_sets
from .options import Options


def check(metadata: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Refuse wrong options, prompt files and languages.

    Args:
        metadata: lm-eval's ``--metadata``, with the model's arguments in it.
        files: YAML files of the tasks that will run.

    Raises:
        DetoxbenchError: saying what was given and what is allowed.
    """
    options = Options.from_metadata(metadata)
    for path in files:
        prompt_sets.load(options.prompts, load_yaml(path, resolve_func=False)["metadata"]["lang"])
