"""From new tokens to a response: thoughts are taken off, stop strings end it, its text is decoded after its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.decoding import StopStrings, continuation
from ..core.sampling import Sampling, Thinking


class Responses:
    """Of one set of requests.

    Args:
        tokenizer: of transformers.
        sampling: with its stop strings.
        think_end: the token or text that thoughts end with, as lm-eval's ``think_end_token``; None for a model that
            does not think.
        max_thinking: the most tokens of thoughts.

    Attributes:
        cut_while_thinking: responses that had not ended their thoughts when the length was spent.
    """

    def __init__(self, tokenizer: Any, sampling: Sampling, think_end: str | int | None, max_thinking: int):
        self.tokenizer, self.sampling = tokenizer, sampling
        self.think_end = _as_token(tokenizer, think_end)
        self.thinking = None if think_end is None else Thinking(self._thought, max_thinking)
        self.cut_while_thinking = 0

    def stops(self, prompt: Sequence[int], new: Sequence[int]) -> bool:
        """Whether a stop string has come up in the answer."""
        return StopStrings(self.tokenizer, prompt, self.sampling.stop)(new)

    def answer_start(self, prompt: Sequence[int], new: Sequence[int]) -> int | None:
        """Where among new tokens the answer begins; None while the model thinks."""
        if self.thinking is None:
            return 0
        ends = (end for end in range(1, len(new) + 1) if self._thought(prompt, new[:end]))
        return next(ends, None)

    def text(self, prompt: Sequence[int], new: Sequence[int]) -> str:
        """The answer.

        A response that ended by itself without ever ending its thoughts has none, and is an answer, as lm-eval takes
        it; one that was cut off by then is empty, and counted.
        """
        if self.thinking is None:
            return self._before_stop(continuation(self.tokenizer, prompt, new))
        if isinstance(self.think_end, int):
            ends = [at for at, token in enumerate(new) if token == self.think_end]
            if ends:
                thoughts = ends[-1] + 1
                answer = continuation(self.tokenizer, [*prompt, *new[:thoughts]], new[thoughts:])
                return self._before_stop(answer.lstrip())
        elif self._thought(prompt, new):
            answer = continuation(self.tokenizer, prompt, new).split(str(self.think_end))[-1]
            return self._before_stop(answer.lstrip())
        if len(new) >= self.thinking.max_tokens:
            self.cut_while_thinking += 1
            return ""
        return self._before_stop(continuation(self.tokenizer, prompt, new))

    def _thought(self, prompt: Sequence[int], new: Sequence[int]) -> bool:
        if isinstance(self.think_end, int):
            return new[-1] == self.think_end
        return StopStrings(self.tokenizer, prompt, (str(self.think_end),))(new)

    def _before_stop(self, text: str) -> str:
        for stop in self.sampling.stop:
            text = text.split(stop)[0]
        return text


def _as_token(tokenizer: Any, given: str | int | None) -> str | int | None:
    """A text that is one token of the vocabulary, special or not, as its id: decoding may leave it out."""
    if not isinstance(given, str):
        return given
    found = tokenizer.get_vocab().get(given)
    return given if found is None else int(found)
