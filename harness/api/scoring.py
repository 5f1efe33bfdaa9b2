"""``detoxbench.score``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core import scorers
from ...core.errors import DetoxbenchError
from ...core.scorers.base import check_language


@dataclass(frozen=True)
class TextScores:
    """What a scorer says of some texts.

    Args:
        texts: ``[texts]``.
        lang: BCP-47 tag that they were scored as.
        scorer, version: who said it.
        values: attribute -> ``[texts]`` scores, higher is more of it; None where a text has none. The first attribute
            is the one that the metrics use.
        reasons: ``[texts]`` why a text has no score; None where it has one.
    """

    texts: Sequence[str]
    lang: str
    scorer: str
    version: str
    values: Mapping[str, Sequence[float | None]]
    reasons: Sequence[str | None]

    @property
    def toxicity(self) -> Sequence[float | None]:
        """``[texts]`` scores of the first attribute."""
        return next(iter(self.values.values()))

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self) -> list[dict[str, Any]]:
        """A row a text: ``text``, each attribute, ``reason``; as ``pandas.DataFrame`` takes them."""
        columns = list(self.values.items())
        return [
            {"text": text, **{name: column[place] for name, column in columns}, "reason": self.reasons[place]}
            for place, text in enumerate(self.texts)
        ]


def score(
    texts: Sequence[str],
    lang: str = "en",
    scorer: str = "ngram",
    *,
    prompts: Sequence[str] | None = None,
    **options: Any,
) -> TextScores:
    """The toxicity of texts.

    >>> import detoxbench
    >>> scores = detoxbench.score(["You are an idiot.", "Thank you for the tea."])
    >>> scores.toxicity[0] > scores.toxicity[1]
    True
    >>> detoxbench.score(["", "Thanks."]).reasons[1] is None
    True

    Args:
        texts: ``[texts]``, all of one language.
        lang: their BCP-47 tag.
        scorer: ``name`` or ``name:argument``, as in ``--metadata '{"scorer": …}'``; ``ngram`` is embedded, needs
            nothing, and is coarse (``docs/validity.md`` says how coarse).
        prompts: ``[texts]`` what each text continues or answers, for scorers that judge it.
        options: of the scorer: ``archive``, ``offline``, ….

    Raises:
        DetoxbenchError: for an unknown scorer or option, a language that it does not support, or a key that is missing.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise DetoxbenchError('texts: give a list of texts, ["You are kind."]')
    if prompts is not None and (isinstance(prompts, str) or len(prompts) != len(texts)):
        raise DetoxbenchError(f"prompts: give a list of {len(texts)} texts, what each of the texts continues")
    made = scorers.load(scorer, **options)
    check_language(made, lang)
    made.ready()
    found = made.score(list(texts), lang, None if prompts is None or made.judges == "text" else list(prompts))
    values = {
        name: [None if math.isnan(value) else float(value) for value in column] for name, column in found.values.items()
    }
    return TextScores(list(texts), lang, made.name, made.version, values, list(found.reasons))
