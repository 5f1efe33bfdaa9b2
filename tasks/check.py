"""Checks of a run's options before any model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..harness.errors import DetoxbenchError
from ..harness.scorers.base import check_language
from . import prompts as prompt_sets
from .measure import ready_scorer
from .options import Options
from .prompts import Where


def check(metadata: Mapping[str, Any], tasks: Mapping[str, Where]) -> None:
    """Refuse wrong options, unavailable or wrong prompts, and languages that the scorer does not support.

    Args:
        metadata: lm-eval's ``--metadata``, with the model's arguments in it.
        tasks: names of those that will run, and what they are about.

    Raises:
        DetoxbenchError: saying what was given and what is allowed.
    """
    for name, where in tasks.items():
        options = Options.from_metadata(metadata, prompt_sets.get(where.prompt_set).protocol)
        prompts = prompt_sets.load_set(where, options).prompts
        scorer = ready_scorer(options)
        for lang in dict.fromkeys(prompt.lang for prompt in prompts):
            try:
                check_language(scorer, lang)
            except DetoxbenchError as error:
                raise DetoxbenchError(f"task '{name}': {error}") from None
