"""The text of a continuation: decoded together with what it continues, which is then cut off.

Decoders look at neighbours. Those of SentencePiece models (Llama 2, Mistral) strip the first space of what they are
given, WordPiece glues a piece to the one before, byte fallback and byte-level vocabularies spread a character over
several tokens. A continuation decoded by itself therefore loses its first space, or begins with half a character.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HALF = "\ufffd"
"""What decoders write for bytes that are no character (yet)."""
_BYTES = 4
"""The most bytes, and so tokens, of a character."""


def decode(tokenizer: Any, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
    """The tokens' text as it was written: no space is tidied away, and an unfinished character at the end is one
    U+FFFD.

    Args:
        tokenizer: of transformers.
        ids: token ids.
        skip_special_tokens: leave special tokens out of the text.
    """

    def plain(ids: Sequence[int]) -> str:
        return tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False)

    text = plain(ids)
    if text.endswith(2 * HALF):
        # Byte fallback writes every byte of a run as U+FFFD while its last character is unfinished; without that
        # character's tokens the rest is text again.
        for unfinished in range(1, min(_BYTES, len(ids) + 1)):
            shorter = plain(ids[: len(ids) - unfinished])
            if not shorter.endswith(HALF):
                return shorter + HALF
    return text


def continuation(tokenizer: Any, before: Sequence[int], new: Sequence[int], *, skip_special_tokens: bool = True) -> str:
    """The text that ``new`` adds to ``before``.

    A character begun in ``before`` and finished in ``new`` belongs to the continuation as a whole.

    Args:
        tokenizer: of transformers.
        before: token ids of the prompt; may be empty.
        new: token ids after it.
        skip_special_tokens: leave special tokens out of the text.
    """
    if not new:
        return ""
    prompt = decode(tokenizer, before, skip_special_tokens=skip_special_tokens)
    text = decode(tokenizer, [*before, *new], skip_special_tokens=skip_special_tokens)
    for head in (prompt, prompt.rstrip(HALF)):
        if text.startswith(head):
            return text[len(head) :]
    # The new tokens changed how the prompt is written: an invalid byte makes a whole run of byte fallback unreadable.
    return decode(tokenizer, new, skip_special_tokens=skip_special_tokens)


class StopStrings:
    """Whether a stop string has come up in a continuation; asked after every token, so it looks at the end first.

    Args:
        tokenizer: of transformers.
        before: token ids of the prompt.
        stop: the strings; none of them empty.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int], stop: Sequence[str]):
        self.tokenizer, self.before, self.stop = tokenizer, before, stop
        # A token is a byte at least, and the last one alone can have completed a string.
        self.reach = max((len(one.encode()) for one in stop), default=0) + _BYTES

    def __call__(self, new: Sequence[int]) -> bool:
        """Whether the text of ``new`` contains a stop string."""
        if not self.stop:
            return False
        start = len(new) - self.reach
        if start > self.reach:
            end = continuation(self.tokenizer, new[start - self.reach : start], new[start:])
            # U+FFFD: the window may have begun within a character, and says nothing.
            if HALF not in end and not any(one in end for one in self.stop):
                return False
        text = continuation(self.tokenizer, self.before, new)
        return any(one in text for one in self.stop)
