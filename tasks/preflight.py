"""Checks of a run's options before any model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ..core import mini
from ..core.constants import MINI
from ..core.errors import DetoxbenchError
from ..core.files import sha256
from ..core.lm_eval_private import model_class
from ..core.registry import SCORERS
from ..core.scorers.base import check_language
from . import prompts as prompt_sets
from .defaults import REAL_MODEL, chosen
from .instructions import NO_TEMPLATE
from .measure import ready_fluency, ready_scorer
from .options import Options
from .prompts import PromptSelection
from .tables import source

TOKENIZER = "tokenizer.model"
"""File of the embedded model's folder that no training changes."""

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


def check_chat(metadata: Mapping[str, Any], chat_template: bool) -> None:
    """Refuse ``task=chat`` without ``--apply_chat_template``.

    Raises:
        DetoxbenchError: saying what to do.
    """
    if metadata.get("task") == "chat" and not chat_template:
        raise DetoxbenchError(NO_TEMPLATE)


def check(
    metadata: Mapping[str, Any],
    tasks: Mapping[str, PromptSelection],
    model: object = None,
    pretrained: str | None = None,
) -> None:
    """Refuse, before any model is loaded: wrong options, unavailable or wrong prompts, languages that the scorer does
    not support, a scorer or a fluency model that cannot be had, and embedded ones on real text.

    Args:
        metadata: lm-eval's ``--metadata``, with the model's arguments in it.
        tasks: names of those that will run, and what they are about.
        model: lm-eval's, by name or as an object.
        pretrained: what the model is, where its arguments say so.

    Raises:
        DetoxbenchError: saying what was given and what is allowed.
    """
    ONE_SEED.set(asks_with_one_seed(model))
    real = None if is_embedded(model, pretrained) else _shown(model, pretrained)
    REAL_MODEL.set(real is not None)
    for name, where in tasks.items():
        prompt_set = prompt_sets.get(where.prompt_set)
        options = Options.from_metadata(metadata, prompt_set.protocol, prompt_set.samples)
        loaded = prompt_sets.load_set(where, options)
        try:
            options = chosen(options, loaded)
            refuse_embedded(options, real or (None if loaded.embedded else f"the prompts of {where.prompt_set}"))
            scorer = ready_scorer(options)
            for lang in dict.fromkeys(prompt.lang for prompt in loaded.prompts):
                check_language(scorer, lang)
            if options.uses_fluency:
                ready_fluency(options.fluency_model)
        except DetoxbenchError as error:
            raise DetoxbenchError(f"task '{name}': {error}") from None


def is_embedded(model: object, pretrained: str | None) -> bool:
    """Whether a model is the embedded one, or was made from it: it then has the embedded tokenizer, bit by bit."""
    if not isinstance(model, str):
        return getattr(model, "name", None) == MINI
    name = pretrained or (MINI if model == "detox" else "")
    if name == MINI:
        return model == "detox"
    tokenizer = Path(name) / TOKENIZER
    return bool(name) and tokenizer.is_file() and sha256(tokenizer) == sha256(mini.MODEL / TOKENIZER)


def refuse_embedded(options: Options, real: str | None) -> None:
    """Refuse the embedded scorer and fluency model on real text: they know the embedded corpus and nothing else.

    Args:
        options: of the run.
        real: what of it is real, in words; None if nothing is.

    Raises:
        DetoxbenchError: naming what to choose.
    """
    if real is None:
        return
    if source(options.scorer) == MINI:
        known = ", ".join("hf:OWNER/MODEL" if name == "hf" else name for name in SCORERS if name != MINI)
        raise DetoxbenchError(
            f"scorer '{options.scorer}' knows the embedded corpus alone and says nothing of {real}; choose another: "
            f'--metadata \'{{"scorer": "hf:OWNER/MODEL"}}\', of {known}'
        )
    if options.fluency_model == MINI:
        raise DetoxbenchError(
            f"fluency_model '{MINI}' knows the embedded corpus alone and says nothing of {real}; choose a causal LM, "
            'or leave perplexity out: --metadata \'{"fluency_model": "OWNER/MODEL"}\' or \'{"fluency_model": "none"}\''
        )


def _shown(model: object, pretrained: str | None) -> str:
    return f"what '{pretrained}' writes" if pretrained else f"what the model {_kind(model)} writes"


def _kind(model: object) -> str:
    return f"'{model}'" if isinstance(model, str) else type(model).__name__
