"""Scorer and fluency model of a run that names none: those of the embedded world in it, real ones for real text."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from functools import cache

from ..core.constants import AUTO, MINI
from ..core.scorers.choice import best
from .options import NONE, Options
from .prompts.base import Loaded

logger = logging.getLogger(__name__)

REAL_MODEL: ContextVar[bool] = ContextVar("real_model", default=False)
"""Whether the run's model is another than the embedded one; said before tasks are built (see ``preflight``)."""


def chosen(options: Options, loaded: Loaded) -> Options:
    """The options with what was left to us.

    Real text, of a real model or after real prompts, is scored by the best-validated scorer on this machine, which one
    line names with its validity; texts in languages that it does not know stay unscored, with a reason. There is no
    embedded fluency model for it: perplexity is left out unless one is named.

    Raises:
        DetoxbenchError: where no scorer for any of the prompts' languages is at hand.
    """
    real = REAL_MODEL.get() or not loaded.embedded
    found: dict[str, str] = {}
    if options.scorer == AUTO:
        found["scorer"] = MINI
        if real:
            langs = sorted({prompt.lang for prompt in loaded.prompts})
            choice = best(langs)
            found["scorer"] = choice.spec
            found["on_unsupported"] = options.on_unsupported or "nan"
            _say(f"no scorer named: {choice}")
    if options.fluency_model == AUTO:
        found["fluency_model"] = NONE if real else MINI
        if real:
            _say('no fluency model named: perplexity is left out (--metadata \'{"fluency_model": "OWNER/MODEL"}\')')
    return options.model_copy(update=found)


@cache
def _say(line: str) -> None:
    """Once a process."""
    logger.warning(line)
