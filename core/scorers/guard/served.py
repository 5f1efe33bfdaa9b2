"""A guard model behind an OpenAI-compatible server: the same presets, read from the log-probabilities of its reply."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import DetoxbenchError
from ..base import Save, Scorer, Scores, check_language, gathered, well_formed
from ..openai_compatible import OPTIONS, Endpoint
from ..presets import Ask, Step
from ..spec import one_of, parse
from .prompts import fill
from .scorer import ATTRIBUTE, LEAST_MASS, ROLES, chosen, share

TOP = 20
"""Most probable tokens asked for: the most that OpenAI and vLLM give."""
TOKENS = 64
"""Of a reply: enough for every preset's answer up to its last label, categories not counted."""


def masses(tokens: Sequence[Mapping[str, Any]], steps: Sequence[Step]) -> np.ndarray:
    """Probability of each label of the last step, float64 ``[labels]``, at the token where its answer begins.

    The server wrote the whole answer, what precedes the label too: each step's is looked for in turn. A token counts
    for the one label that begins with it, blanks and case aside, since tokenizers cut words differently.

    Args:
        tokens: of the reply, each with ``token`` and ``top_logprobs``.
        steps: of the preset.

    Raises:
        ValueError: where the reply is another one's than the preset's.
    """
    pieces = [str(one["token"]) for one in tokens]
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    text, at, place = "".join(pieces), 0, None
    for step in steps:
        before = step.prefill.strip()
        found = text.find(before, at)
        if found < 0:
            raise ValueError(f"no answer: the reply does not have {before!r}, but begins {text[:40]!r}")
        at = found + len(before)
        place = next((n for n, end in enumerate(ends) if text[at:end].strip()), None)
        if place is None:
            raise ValueError(f"no answer: the reply ends after {before!r}")
    words = [label.token.strip().casefold() for label in steps[-1].labels.values()]
    result = np.zeros(len(words))
    for one in tokens[place or 0]["top_logprobs"]:
        token = str(one["token"]).strip().strip('"').casefold()
        begun = [number for number, word in enumerate(words) if token and word.startswith(token)]
        if len(begun) == 1:
            result[begun[0]] += math.exp(float(one["logprob"]))
    return result


class ServedGuardScorer(Scorer):
    """``served_guard:<base_url>,<model>``: a guard model behind vLLM or another OpenAI-compatible server.

    Options: ``preset`` (may be left out for a model that one names), ``role`` (``text``, ``response``), ``least_mass``,
    as of ``guard:``; ``version`` (of archived scores to go on with), ``qps``, ``workers``, ``attempts``, ``backoff``.
    The preset's conversation goes to the server, which applies the model's chat template with the preset's options
    (``chat_template_kwargs``); the score is that of ``guard:``, from the log-probabilities of the reply. The version is
    the model, the preset and the month: a server does not say which weights it serves.
    """

    dated = True
    durable = True
    all_at_once = True

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        preset: str | None = None,
        role: str | None = None,
        least_mass: float = LEAST_MASS,
        version: str | None = None,
        **endpoint: Any,
    ):
        self.preset_name, self.preset = chosen(model, preset)
        self.role = role or ROLES[0]
        shown = f",role={role}" if self.role != ROLES[0] else ""
        self.name = f"served_guard:{model},preset={self.preset_name}{shown}"
        if self.preset.served_only is not None:
            raise DetoxbenchError(
                f"scorer '{self.name}': {self.preset.served_only.strip()}: no token of its reply is its answer"
            )
        if self.role not in self.preset.asks:
            raise DetoxbenchError(f"scorer '{self.name}': role={self.role}: allowed are {', '.join(self.preset.asks)}")
        if not self.preset.variants:
            raise DetoxbenchError(
                f"scorer '{self.name}': this preset begins the answer for the model, which a chat endpoint cannot: use "
                "judge:, whose rubric it is"
            )
        if any(ask.template is not None for ask in self.preset.asks.values()):
            raise DetoxbenchError(
                f"scorer '{self.name}': this preset writes its prompt itself, which a chat endpoint cannot take: use "
                "guard:"
            )
        self.judges, self.least_mass = self.role, least_mass
        self._model = model
        self._endpoint = Endpoint(self.name, base_url, version=version, **endpoint)
        self.pinned = version is not None
        self.version = version or f"{model} preset:{self.preset.digest} mass:{least_mass} @{self._endpoint.month}"
        several = list(self.preset.policies) if len(self.preset.policies) > 1 else []
        self.attributes = (ATTRIBUTE, *several)
        self.languages = None if self.preset.languages is None else frozenset(self.preset.languages)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> ServedGuardScorer:
        """See the class.

        Raises:
            DetoxbenchError: for an unknown option or preset, or a URL that no key may be sent to.
        """
        allowed = {"preset": str, "role": one_of(*ROLES), "least_mass": share, **OPTIONS}
        (url, model), given = parse("served_guard", argument, options, arguments=("base_url", "model"), options=allowed)
        return cls(url, model, **given)

    @property
    def validity(self) -> Mapping[str, Any]:
        """None of its own: what serves the model, and how precisely, is not known."""
        return {}

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Probabilities that texts are harmful; an empty text has none, nor one that the guard does not answer to."""
        return gathered(self, texts, lang, prompts)

    def score_each(self, texts: Sequence[str], lang: str, save: Save, prompts: Sequence[str] | None = None) -> None:
        """Like ``score``, handing over each answer."""
        check_language(self, lang)
        before = [""] * len(texts) if prompts is None else prompts

        def ask(place: int) -> Scores:
            return self._scores(texts[place], before[place])

        self._endpoint.each_text(texts, self.attributes, save, ask)

    def _scores(self, text: str, prompt: str) -> Scores:
        role = self.role if prompt.strip() or "text" not in self.preset.asks else "text"
        ask = self.preset.asks[role]  # type: ignore[index]
        found = {
            policy: self._ask(ask, {"text": well_formed(text), "prompt": well_formed(prompt)}, wording)
            for policy, wording in (self.preset.policies or {ATTRIBUTE: ""}).items()
        }
        values = {ATTRIBUTE: max(found.values()), **found}
        return Scores({name: np.array([values[name]]) for name in self.attributes}, [None])

    def _ask(self, ask: Ask, words: Mapping[str, str], policy: str) -> float:
        policy = fill(policy, ask.words)
        words = {**ask.words, "policy": policy, **words}
        turns = [{"role": one.role, "content": self._content(fill(one.content, words))} for one in ask.messages]
        options = fill(ask.options, {"policy": policy})
        body = self._endpoint.post(
            "chat/completions",
            {
                "model": self._model, "messages": turns, "temperature": 0, "max_tokens": TOKENS, "logprobs": True,
                "top_logprobs": TOP, **({"chat_template_kwargs": options} if options else {}),
            },
        )  # fmt: skip
        try:
            tokens = body["choices"][0]["logprobs"]["content"] or []
            labels = masses(tokens, ask.steps)
        except (KeyError, IndexError, TypeError):
            raise DetoxbenchError(
                f"scorer '{self.name}': the server gives no logprobs, which the score is made of; start it so that it "
                "does (vLLM does by default)"
            ) from None
        total = labels.sum()
        if not total >= self.least_mass or total <= 0:
            shown = ", ".join(ask.steps[-1].labels)
            raise ValueError(f"no answer: {total:.0%} of the probability is on {shown}")
        harm = np.array([label.harm for label in ask.steps[-1].labels.values()])
        return float(np.clip(labels @ harm / total, 0.0, 1.0))

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.preset.content == "parts" else text
