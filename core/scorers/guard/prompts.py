"""From texts to what a guard reads: the preset's conversation through the model's own chat template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ...errors import DetoxbenchError
from ..base import well_formed
from ..presets import Ask, Guard, Step

WORD = re.compile(r"\{(\w+)\}")
LONGEST = 2048
"""Tokens of a text, and of a prompt, that are shown to a guard at once."""
OVERLAP = 4
"""Consecutive pieces of a longer text share a quarter of their tokens, so that an insult is not cut in two."""
LEAST = 16
"""Tokens of a text that must fit into the model beside its policy."""


def fill(value: Any, words: Mapping[str, str]) -> Any:
    """The value with ``{word}`` replaced in all its strings, once: what is filled in is not looked at again."""
    if isinstance(value, str):
        return WORD.sub(lambda found: words.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {key: fill(entry, words) for key, entry in value.items()}
    return [fill(entry, words) for entry in value] if isinstance(value, (list, tuple)) else value


class Prompts:
    """Prompts of one preset for one tokenizer.

    Args:
        preset: how the guard is asked.
        tokenizer: the model's.
        name: of the scorer, for messages.

    Raises:
        DetoxbenchError: for a tokenizer without a chat template where the preset needs one.
    """

    def __init__(self, preset: Guard, tokenizer: Any, name: str):
        self.preset, self.tokenizer, self.name = preset, tokenizer, name
        if getattr(tokenizer, "chat_template", None) is None and any(ask.messages for ask in preset.asks.values()):
            raise DetoxbenchError(
                f"scorer '{name}': the tokenizer has no chat template, which this preset asks with: the model is "
                "another one, or no instruction model"
            )

    @cached_property
    def _marks(self) -> re.Pattern[str] | None:
        """The tokenizer's special tokens as a text could spell them."""
        added = self.tokenizer.added_tokens_decoder.values()
        marks = {token.content for token in added if token.special} | set(self.tokenizer.all_special_tokens)
        marks = {mark for mark in marks if len(mark.strip()) > 1}
        return re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True)))) if marks else None

    def harmless(self, text: str) -> str:
        """The text, well formed, with special tokens that it spells broken by a space: a text ends no turn."""
        text = well_formed(text)
        return self._marks.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text) if self._marks else text

    def render(self, ask: Ask, texts: Sequence[str], prompts: Sequence[str], policy: str) -> list[str]:
        """``[texts]`` what the guard reads, special tokens written out, up to where its answer begins."""
        policy = fill(policy, ask.words)
        found = []
        for text, prompt in zip(texts, prompts, strict=True):
            words = {**ask.words, "policy": policy, "text": text, "prompt": prompt}
            found.append(fill(ask.template, words) if ask.template is not None else self._chat(ask, words))
        return found

    def _chat(self, ask: Ask, words: Mapping[str, str]) -> str:
        turns = []
        for message in ask.messages:
            content = fill(message.content, words)
            parts = [{"type": "text", "text": content}]
            turns.append({"role": message.role, "content": parts if self.preset.content == "parts" else content})
        options = fill(ask.options, {"policy": words["policy"]})
        try:
            return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **options)
        except Exception as error:  # whatever a template raises
            raise DetoxbenchError(
                f"scorer '{self.name}': the model's chat template refuses this preset's conversation: {error}"
            ) from None

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of whole prompts: special tokens are in the text already."""
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    def pieces(self, text: str, longest: int) -> list[str]:
        """The text, or overlapping pieces of it that have at most so many tokens."""
        if len(text) <= longest:
            return [text]
        spans = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        if len(spans) <= longest:
            return [text]
        step = longest - longest // OVERLAP
        starts = range(0, len(spans) - longest // OVERLAP, step)
        cut = [spans[start : start + longest] for start in starts]
        return [text[part[0][0] : part[-1][1]] for part in cut]

    def ending(self, text: str, longest: int) -> str:
        """The last tokens of a prompt."""
        if len(text) <= longest:
            return text
        spans = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(spans) <= longest else text[spans[-longest][0] :]

    def longest(self, limit: int | None, window: int | None) -> int:
        """Tokens of a text that fit into the model beside the policy and, for a response, a prompt as long.

        Raises:
            DetoxbenchError: if fewer than ``LEAST`` do.
        """
        wanted = min(window or LONGEST, LONGEST)
        if limit is None:
            return wanted
        for role, ask in self.preset.asks.items():
            policies = self.preset.policies.values() or [""]
            words = [max((label.token for label in step.labels.values()), key=len) for step in ask.steps]
            tail = "".join(step.prefill + word for step, word in zip(ask.steps, words, strict=True))
            empty = [prompt + tail for policy in policies for prompt in self.render(ask, [""], [""], policy)]
            room = limit - max(map(len, self.encode(empty))) - 1
            wanted = min(wanted, room // 2 if role == "response" else room)
        if wanted < LEAST:
            raise DetoxbenchError(
                f"scorer '{self.name}': the model reads {limit} tokens, of which the policy leaves {max(wanted, 0)} "
                f"for a text, fewer than {LEAST}"
            )
        return wanted


class Answer:
    """Where the answer of a step begins, and which tokens it can begin with.

    The tokens are those that follow in a whole prompt, so that what the tokenizer does with a space before a word is
    what it did when the model was trained.

    Args:
        prompts: of the model.
        step: the answer.
        before: some prompt that the answer follows.

    Raises:
        DetoxbenchError: if labels begin with the same token, or the tokenizer joins them with what is before.
    """

    def __init__(self, prompts: Prompts, step: Step, before: str):
        self._prompts, self.step = prompts, step
        self.names = list(step.labels)
        self.harm = [label.harm for label in step.labels.values()]
        self.prefill, self.words = step.prefill, [label.token for label in step.labels.values()]
        found = self._first(before)
        if found is None and self.prefill.rstrip(" ") != self.prefill:
            # A tokenizer that writes a space with the word after it: it goes to the label.
            blanks = self.prefill[len(self.prefill.rstrip(" ")) :]
            self.prefill, self.words = self.prefill.rstrip(" "), [blanks + word for word in self.words]
            found = self._first(before)
        if found is None:
            shown = ", ".join(map(repr, self.words))
            raise DetoxbenchError(
                f"scorer '{prompts.name}': the answers {shown} have no first tokens of their own after "
                f"{self.prefill!r} in this tokenizer: the preset is another model's"
            )
        self.tokens = [[token] for token in found]
        if prompts.preset.any_case:
            self._widen()

    def rows(self, before: Sequence[str]) -> list[list[int]]:
        """Tokens up to the answer's first, which is to come: ``[texts]``."""
        if self.prefill.strip() or not self.prefill:
            return self._prompts.encode([prompt + self.prefill for prompt in before])
        own = self._prompts.encode([self.prefill])[0]
        rows = self._prompts.encode(before)
        return [row if prompt.endswith(self.prefill) else row + own for row, prompt in zip(rows, before, strict=True)]

    def written(self, before: str, label: int) -> str:
        """The prompt with the answer written down."""
        blank = not self.prefill.strip() and before.endswith(self.prefill)
        return before + ("" if blank else self.prefill) + self.words[label]

    def _first(self, before: str) -> list[int] | None:
        apart = not self.prefill.strip() and bool(self.prefill)
        context = self.prefill if apart else before + self.prefill
        start, *rows = self._prompts.encode([context, *(context + word for word in self.words)])
        if any(row[: len(start)] != start or len(row) == len(start) for row in rows):
            return None
        first = [row[len(start)] for row in rows]
        return first if len(set(first)) == len(first) else None

    def _widen(self) -> None:
        """All tokens that are the label but for blanks and case."""
        tokenizer = self._prompts.tokenizer
        wanted = [word.strip().casefold() for word in self.words]
        longest = max(map(len, wanted)) + 4
        for token, number in tokenizer.get_vocab().items():
            if len(token) > longest or not any(word in token.casefold() for word in wanted):
                continue
            shown = tokenizer.decode([number]).strip().casefold()
            if shown in wanted and number not in self.tokens[wanted.index(shown)]:
                self.tokens[wanted.index(shown)].append(number)
