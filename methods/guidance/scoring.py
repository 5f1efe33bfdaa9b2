"""A registered scorer that a method asks while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core import scorers
from ...core.errors import DetoxbenchError


def guide(method: str, spec: str | None) -> scorers.Scorer:
    """The scorer that guides a method, ready to answer.

    Raises:
        DetoxbenchError: where none is named, or it cannot answer.
    """
    if spec is None:
        raise DetoxbenchError(
            f"method '{method}' needs scorer=…: the one that guides it, and not the one that judges the run "
            "(a run judged by it is marked self_judged)"
        )
    found = scorers.load(spec)
    found.ready()
    return found


def toxicity(scorer: scorers.Scorer, texts: Sequence[str], lang: str, prompts: Sequence[str]) -> np.ndarray:
    """Scores of the scorer's first attribute, float64 ``[texts]``; NaN where a text has none.

    Args:
        texts: ``[texts]``.
        lang: their BCP-47 tag.
        prompts: ``[texts]`` what they continue, for scorers that judge it too.

    Raises:
        DetoxbenchError: for a language that the scorer does not support.
    """
    scorers.check_language(scorer, lang)
    before = None if scorer.judges == "text" else prompts
    return np.asarray(scorer.score(texts, lang, before).values[scorer.attributes[0]], dtype=np.float64)
