"""Checks of a run's options before any model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ..core.errors import DetoxbenchError
from ..core.lm_eval_private import model_class
from ..core.scorers.base import check_language
from . import prompts as prompt_sets
from .measure import ready_scorer
from .options import Options
from .prompts import Where

ONE_SEED: ContextVar[bool] = ContextVar("one_seed", default=False)
"""Whether the run's model sends every request with one seed, so that K requests of a prompt are answered alike."""


def asks_with_one_seed(model: object) -> bool:
    """Whether it is one of lm-eval's models behind an OpenAI-style API, by name or as an object.

    They put one seed into all requests, which servers that honour it answer K times the same.
    """
    if isinstance(model, str):
        if "completions" not in model:
            return False
        kind = model_class(model)
    else:
        kind = type(model)
    bases = {base.__name__ for base in getattr(kind, "__mro__", ())}
    return "LocalCompletionsAPI" in bases and "AnthropicChat" not in bases


def check(metadata: Mapping[str, Any], tasks: Mapping[str, Where], model: object = None) -> None:
    """Refuse wrong options, unavailable or wrong prompts, and languages that the scorer does not support.

    Args:
        metadata: lm-eval's ``--metadata``, with the model's arguments in it.
        tasks: names of those that will run, and what they are about.
        model: lm-eval's, by name or as an object.

    Raises:
        DetoxbenchError: saying what was given and what is allowed.
    """
    ONE_SEED.set(asks_with_one_seed(model))
    for name, where in tasks.items():
        options = Options.from_metadata(metadata, prompt_sets.get(where.prompt_set).protocol)
        prompts = prompt_sets.load_set(where, options).prompts
        scorer = ready_scorer(options)
        for lang in dict.fromkeys(prompt.lang for prompt in prompts):
            try:
                check_language(scorer, lang)
            except DetoxbenchError as error:
                raise DetoxbenchError(f"task '{name}': {error}") from None
