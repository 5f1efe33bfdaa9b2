"""lm-eval's Hugging Face models decode a continuation without its prompt: with the tokenizers of Llama 2 or Mistral 0.1
its first space is lost, and with it every likelihood. Within a run of our tasks they decode as our own model does.

lm-eval's other models need no help: vLLM and SGLang decode along with the prompt's last tokens, and a server behind an
API sends text.
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .decoding import continuation


@contextlib.contextmanager
def decoding_after_prompts(ours: Callable[[Any], bool]) -> Iterator[None]:
    """Within, ``lm_eval --model hf``, and whatever inherits its way to generate, decodes the continuations that are
    asked for by some requests after their prompts; those of other requests as ever.

    Args:
        ours: which requests.
    """
    from lm_eval.models.huggingface import HFLM

    original: Any = HFLM.generate_until  # what it takes is hidden from the type checker by lm-eval's decorator

    @functools.wraps(original)
    def generate_until(self: Any, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        places = [place for place, request in enumerate(requests) if ours(request)]
        if not places or self.backend != "causal":
            return original(self, requests, disable_tqdm)
        chosen = set(places)
        rest = [place for place in range(len(requests)) if place not in chosen]
        texts: list[str] = [""] * len(requests)
        with _after_prompts(self):
            found = original(self, [requests[place] for place in places], disable_tqdm)
        if rest:
            found = [*found, *original(self, [requests[place] for place in rest], disable_tqdm)]
        for place, text in zip([*places, *rest], found, strict=True):
            texts[place] = text
        return texts

    HFLM.generate_until = generate_until
    try:
        yield
    finally:
        HFLM.generate_until = original


@contextlib.contextmanager
def _after_prompts(lm: Any) -> Iterator[None]:
    """One model whose ``tok_decode`` knows what the tokens continue: the rows of ``_model_generate``, which lm-eval
    decodes one by one, in order, each as a list of tokens that the row ends in."""
    rows: deque[list[int]] = deque()
    generate, decode = lm._model_generate, lm.tok_decode

    def noted(*args: Any, **kwargs: Any) -> Any:
        found = generate(*args, **kwargs)
        rows.clear()
        for row, mask in zip(found.tolist(), kwargs["attention_mask"].tolist(), strict=True):
            rows.append(row[mask.count(0) :])
        return found

    def after(tokens: Any, *args: Any, **kwargs: Any) -> str:
        if not rows or args or kwargs or not isinstance(tokens, Sequence):
            return decode(tokens, *args, **kwargs)
        row = rows.popleft()
        start = len(row) - len(tokens)
        return continuation(lm.tokenizer, row[:start], row[start:])

    lm._model_generate, lm.tok_decode = noted, after
    try:
        yield
    finally:
        del lm._model_generate, lm.tok_decode
