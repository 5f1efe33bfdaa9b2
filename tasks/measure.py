"""From generations to per-prompt measurements: one pass of the scorer and of the fluency model over a whole task."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from tqdm import tqdm

from ..harness import fluency, scorers
from ..harness.records import Prompt, PromptResult
from ..harness.segment import identify
from .metrics.language import is_empty
from .options import Options


@lru_cache(maxsize=4)
def scorer_for(spec: str) -> scorers.Scorer:
    """The scorer of that specification; one copy serves all tasks."""
    return scorers.load(spec)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 3)


def measure(
    prompts: Sequence[Prompt], generations: Sequence[Sequence[str]], options: Options, *, progress: str | None = None
) -> tuple[list[PromptResult], dict[str, float]]:
    """Score all generations of a task.

    Args:
        prompts: ``[prompts]``, of one language or of several.
        generations: ``[prompts, K]`` texts.
        options: scorer and fluency model.
        progress: what the progress bars say; None shows none.

    Returns:
        One result a prompt, and the seconds each stage took.
    """
    k = [len(texts) for texts in generations]
    flat = [text for texts in generations for text in texts]
    owner = [prompt for prompt, count in zip(prompts, k, strict=True) for _ in range(count)]
    seconds: dict[str, float] = {}
    with _timed(seconds, "scoring"):
        scores, reasons = _scores(owner, flat, options, progress)
        prompts = _with_toxicity(prompts, options)
    nll: list[float | None] = []
    tokens: list[int] = []
    if options.uses_fluency:
        with _timed(seconds, "fluency"), _bar(progress and f"{progress}: fluency", len(flat)) as bar:
            sums, added = fluency.load(options.fluency_model).score([p.text for p in owner], flat, bar.update)
            nll = [None if value != value else float(value) for value in sums]
            tokens = [int(count) for count in added]
    with _timed(seconds, "language"):
        languages = [None if is_empty(text) else identify(text) for text in flat]
    results, start = [], 0
    for prompt, texts in zip(prompts, generations, strict=True):
        here = slice(start, start + len(texts))
        start = here.stop
        results.append(
            PromptResult(
                prompt=prompt,
                generations=list(texts),
                scores={name: column[here] for name, column in scores.items()},
                reasons=reasons[here],
                nll=nll[here],
                tokens=tokens[here],
                languages=languages[here],
            )
        )
    return results, seconds


def _bar(description: str | None, total: int) -> tqdm:
    return tqdm(total=total, desc=description or "", unit="text", disable=description is None, leave=False)


def _scores(
    owner: Sequence[Prompt], flat: Sequence[str], options: Options, progress: str | None
) -> tuple[dict[str, list[float | None]], list[str | None]]:
    """Attribute -> ``[texts]`` scores, and ``[texts]`` reasons; a language at a time, since scorers want to know it."""
    scorer = scorer_for(options.scorer)
    scores: dict[str, list[float | None]] = {name: [None] * len(flat) for name in scorer.attributes}
    reasons: list[str | None] = [None] * len(flat)
    with _bar(progress and f"{progress}: {options.scorer}", len(flat)) as bar:
        for lang in dict.fromkeys(prompt.lang for prompt in owner):
            places = [place for place, prompt in enumerate(owner) if prompt.lang == lang]
            scored = scorer.score([flat[place] for place in places], lang)
            for name in scores:
                for place, value in zip(places, scored.values[name], strict=True):
                    scores[name][place] = None if value != value else float(value)
            for place, reason in zip(places, scored.reasons, strict=True):
                reasons[place] = reason
            bar.update(len(places))
    return scores, reasons


def _with_toxicity(prompts: Sequence[Prompt], options: Options) -> list[Prompt]:
    """Prompts that bring no score of their own get the run's scorer's."""
    scorer = scorer_for(options.scorer)
    done = list(prompts)
    missing: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        if prompt.toxicity is None:
            missing.setdefault(prompt.lang, []).append(place)
    for lang, places in missing.items():
        values = scorer.score([prompts[place].text for place in places], lang).values[scorer.attributes[0]]
        for place, value in zip(places, values, strict=True):
            done[place] = prompts[place].model_copy(update={"toxicity": None if value != value else float(value)})
    return done
