"""lm-eval's models behind an OpenAI-style API send a prompt K times for K samples. Within a run of our tasks they send
it once, with ``n=K``, so that the server need read it once.

A server that refuses ``n``, or gives fewer texts, is asked for each of the others as ever.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

logger = logging.getLogger(__name__)

MOST = 128
"""Texts that are asked for at once; OpenAI's own bound of ``n``."""


class Texts(str):
    """The first of several texts of one prompt, where lm-eval has room for one.

    Attributes:
        every: all of them, in order.
    """

    every: tuple[str, ...]

    def __new__(cls, every: Sequence[str]) -> Texts:
        made = super().__new__(cls, every[0] if every else "")
        made.every = tuple(every)
        return made


@contextlib.contextmanager
def asking_once(ours: Callable[[Any], bool]) -> Iterator[None]:
    """Within, models behind an API are asked once for the repetitions of some requests; others as ever.

    Args:
        ours: which requests.
    """
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    original: Any = LocalCompletionsAPI.generate_until

    @functools.wraps(original)
    def generate_until(self: Any, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        places: dict[int, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(id(request), []).append(place)
        several = [found for found in places.values() if len(found) > 1 and ours(requests[found[0]])]
        texts: list[str | None] = [None] * len(requests)
        if several:
            for place, text in _at_once(self, original, requests, several).items():
                texts[place] = text
        rest = [place for place, text in enumerate(texts) if text is None]
        if rest:
            found = original(self, [requests[place] for place in rest], disable_tqdm)
            for place, text in zip(rest, found, strict=True):
                texts[place] = text
        return [text for text in texts if text is not None]

    LocalCompletionsAPI.generate_until = generate_until
    try:
        yield
    finally:
        del LocalCompletionsAPI.generate_until


def _at_once(lm: Any, ask: Any, requests: Sequence[Any], several: Sequence[Sequence[int]]) -> dict[int, str]:
    """Place of a request -> its text, for those that the server answers with ``n``.

    Args:
        lm: an instance of ``LocalCompletionsAPI``.
        ask: its ``generate_until``.
        several: places of each request's repetitions.
    """
    pieces = [found[at : at + MOST] for found in several for at in range(0, len(found), MOST)]
    texts: dict[int, str] = {}
    # One first: a server that knows no ``n`` is not asked for everything in vain.
    for some in (pieces[:1], pieces[1:]):
        with _several_texts(lm):
            try:
                answers = ask(lm, [_with_n(requests[piece[0]], len(piece)) for piece in some], True) if some else []
            except _refusals() as error:
                if texts:  # it knows n: this is another fault
                    raise
                logger.warning(f"the server refuses n={len(some[0])}, and is asked for each sample: {error}")
                return {}
        for piece, answer in zip(some, answers, strict=True):
            texts.update(zip(piece, getattr(answer, "every", (answer,)), strict=False))
        if lacking := sum(map(len, some)) - sum(place in texts for piece in some for place in piece):
            logger.warning(f"of n={len(some[0])} the server gives fewer ({lacking} are lacking): it is asked for each")
            break
    return texts


def _with_n(request: Any, n: int) -> Any:
    """The request for so many texts."""
    found = copy.copy(request)
    context, settings, *more = request.args
    found.arguments = (context, {**settings, "n": n}, *more)
    return found


def _refusals() -> tuple[type[Exception], ...]:
    from aiohttp import ClientResponseError
    from requests import HTTPError

    return (HTTPError, ClientResponseError)


@contextlib.contextmanager
def _several_texts(lm: Any) -> Iterator[None]:
    """A model that takes all texts of an answer for one, and sends one prompt in a request."""
    from lm_eval.models.api_models import LMEVAL_MODEL_NONE_ANSWER_PLACEHOLDER as NOTHING

    parse, size = lm.parse_generations, lm._batch_size

    def together(outputs: Any, **kwargs: Any) -> list[str]:
        outputs = outputs if isinstance(outputs, list) else [outputs]
        return [Texts([NOTHING if text is None else text for text in parse(one, **kwargs)]) for one in outputs]

    lm.parse_generations, lm._batch_size = together, 1
    try:
        yield
    finally:
        del lm.parse_generations
        lm._batch_size = size
