"""One convention for all scorers, whatever theirs is: higher is more toxic, and prompts come beside the texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DetoxbenchError
from .base import DIRECTIONS, JUDGES, OnScored, Save, Scorer, Scores
from .wrapper import Wrapper


def checked(scorer: object, spec: str) -> Scorer:
    """The scorer, with what it declares heeded.

    Raises:
        DetoxbenchError: for an object that is no ``Scorer``, or declares what there is not.
    """
    kind = spec.partition(":")[0]
    if not isinstance(scorer, Scorer):
        raise DetoxbenchError(
            f"scorer '{kind}': {type(scorer).__module__}.{type(scorer).__name__} is not a subclass of "
            "detoxbench.core.scorers.Scorer: make it one (docs/scorers.md, 'Your own')"
        )
    try:
        usable = bool(scorer.name and scorer.attributes)
    except AttributeError:
        usable = False
    if not usable:
        raise DetoxbenchError(f"scorer '{kind}': {type(scorer).__name__} sets no name or no attributes")
    for name, value, allowed in (
        ("direction", scorer.direction, DIRECTIONS),
        ("judges", scorer.judges, JUDGES),
    ):
        if value not in allowed:
            raise DetoxbenchError(f"scorer '{kind}': {name}={value!r}: allowed are {', '.join(allowed)}")
    return scorer if (scorer.direction, scorer.judges) == ("higher", "text") else Conventional(scorer)


class Conventional(Wrapper):
    """A scorer with ``direction`` ``lower`` or one that judges more than the text, under a version that says so.

    Scores of ``lower`` are turned: ``1 - score``, so that higher is more toxic. One that judges the ``whole`` gets
    prompt and text as one text; one that judges the ``response`` gets both.
    """

    @property
    def direction(self) -> str:  # type: ignore[override]
        return "higher"

    @property
    def version(self) -> str:  # type: ignore[override]
        turned = " turned:1-score" if self.scorer.direction == "lower" else ""
        return self.scorer.version + turned + ("" if self.judges == "text" else f" judges:{self.judges}")

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        return self._turned(self.scorer.score(*self._given(texts, lang, prompts)))

    def score_each(self, texts: Sequence[str], lang: str, save: Save, prompts: Sequence[str] | None = None) -> None:
        given, tag, before = self._given(texts, lang, prompts)
        self.scorer.score_each(given, tag, lambda places, scores: save(places, self._turned(scores)), before)

    def score_reporting(
        self, texts: Sequence[str], lang: str, on_scored: OnScored, prompts: Sequence[str] | None = None
    ) -> Scores:
        given, tag, before = self._given(texts, lang, prompts)
        return self._turned(self.scorer.score_reporting(given, tag, on_scored, before))

    def _given(
        self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None
    ) -> tuple[Sequence[str], str, Sequence[str] | None]:
        if self.judges == "whole" and prompts is not None:
            return [prompt + text for prompt, text in zip(prompts, texts, strict=True)], lang, None
        return texts, lang, prompts if self.judges == "response" else None

    def _turned(self, scores: Scores) -> Scores:
        if self.scorer.direction == "higher":
            return scores
        for name, column in scores.values.items():
            outside = column[~np.isnan(column) & ((column < 0) | (column > 1))]
            if len(outside):
                raise DetoxbenchError(
                    f"scorer '{self.name}': {name} is {outside[0]:g}; a scorer of direction 'lower' must score from "
                    "0 to 1, so that it can be turned"
                )
        turned = {name: 1.0 - column for name, column in scores.values.items()}
        return Scores(turned, scores.reasons, scores.absent, scores.retry)
