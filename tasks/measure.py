"""From generations to per-prompt measurements: one pass of the scorer and of the fluency model over a whole task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

from ..core import hub, scorers
from ..core.errors import DetoxbenchError
from ..core.language_identification import identify_for
from ..core.metrics.language import is_empty
from ..core.mini import model_folder
from ..core.progress import Stages
from ..core.records import Prompt, PromptResult
from ..core.scorers.base import well_formed
from ..core.scorers.progress import score_all
from .options import Options

Texts = Sequence[Sequence[str]]
"""``[prompts, K]``; K may differ."""
SCORING, FLUENCY = "scored", "fluency"
"""Stages of measuring."""


@dataclass(frozen=True)
class Scored:
    """What a scorer says of all generations.

    Args:
        scores: attribute -> ``[texts]``, None where there is none.
        reasons: ``[texts]`` why a text has none.
    """

    scores: Mapping[str, Sequence[float | None]]
    reasons: Sequence[str | None]


@dataclass(frozen=True)
class TextMeasurements:
    """What does not depend on the scorer: ``[texts]`` each, the first two empty without a fluency model."""

    nll: Sequence[float | None]
    tokens: Sequence[int]
    languages: Sequence[str | None]


def scorer_for(options: Options) -> scorers.Scorer:
    """The scorer that the options ask for; one copy serves all tasks.

    Raises:
        DetoxbenchError: if it cannot be had.
    """
    return _scorer(options.scorer, options.archive, options.offline, options.on_unsupported)


@lru_cache(maxsize=4)
def _scorer(spec: str, archive: str | None, offline: bool, on_unsupported: str | None) -> scorers.Scorer:
    return scorers.load(spec, archive=archive, offline=offline or None, on_unsupported=on_unsupported)


def ready_scorer(options: Options) -> scorers.Scorer:
    """``scorer_for``, once it has what it needs to answer: to be called before a long run.

    Raises:
        DetoxbenchError: if it cannot be had, or lacks its key or its archive.
    """
    scorer = scorer_for(options)
    scorer.ready()
    return scorer


@lru_cache(maxsize=4)
def ready_fluency(name: str) -> None:
    """Nothing, if a fluency model can be had: its configuration and its tokenizer are read, its weights are not.

    Raises:
        DetoxbenchError: if it cannot.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = model_folder(name)
    try:
        with hub.quietly():
            AutoConfig.from_pretrained(folder)
            AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise DetoxbenchError(
            f"fluency_model '{name}' cannot be loaded ({hub.cause(error, name)}): give a folder, a model on the hub, "
            "or 'none' to leave perplexity out"
        ) from None


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Adds the time of its block to ``seconds[name]``."""
    start = time.perf_counter()
    yield
    seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - start, 3)


def measure(
    prompts: Sequence[Prompt], generations: Texts, options: Options, *, progress: Stages | None = None
) -> tuple[list[PromptResult], dict[str, float]]:
    """Score all generations of a task.

    Args:
        prompts: ``[prompts]``, of one language or of several.
        generations: ``[prompts, K]`` texts.
        options: scorer and fluency model.
        progress: of this task's measuring and of others'; None shows none.

    Returns:
        One result a prompt, and the seconds each stage took.
    """
    seconds: dict[str, float] = {}
    with timed(seconds, "scoring"):
        scorer = scorer_for(options)
        scored = score(scorer, prompts, generations, progress=progress)
        prompts = with_toxicity(scorer, prompts, progress=progress)
    judged = judge(prompts, generations, options.fluency_model, seconds, progress=progress)
    return assemble(prompts, generations, scored, judged), seconds


def score(
    scorer: scorers.Scorer, prompts: Sequence[Prompt], generations: Texts, *, progress: Stages | None = None
) -> Scored:
    """Scores of all generations, a language at a time, since scorers want to know it.

    Raises:
        DetoxbenchError: for a language that the scorer does not support, before anything is scored.
    """
    langs = dict.fromkeys(prompt.lang for prompt in prompts)
    for lang in langs:
        scorers.check_language(scorer, lang)
    owner, flat = _flat(prompts, generations)
    scores: dict[str, list[float | None]] = {name: [None] * len(flat) for name in scorer.attributes}
    reasons: list[str | None] = [None] * len(flat)
    on_scored = _counting(progress, SCORING)
    for lang in langs:
        places = [place for place, prompt in enumerate(owner) if prompt.lang == lang]
        before = [owner[place].text for place in places]
        scored = score_all(scorer, [flat[place] for place in places], lang, on_scored, before)
        for name, column in scores.items():
            for place, value in zip(places, scored.values[name], strict=True):
                column[place] = None if value != value else float(value)
        for place, reason in zip(places, scored.reasons, strict=True):
            reasons[place] = reason
    return Scored(scores, reasons)


def with_toxicity(scorer: scorers.Scorer, prompts: Sequence[Prompt], *, progress: Stages | None = None) -> list[Prompt]:
    """Prompts that bring no score of their own get the scorer's."""
    done = list(prompts)
    missing: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        if _unscored(prompt):
            missing.setdefault(prompt.lang, []).append(place)
    on_scored = _counting(progress, SCORING)
    for lang, places in missing.items():
        scored = score_all(scorer, [prompts[place].text for place in places], lang, on_scored)
        for place, value in zip(places, scored.values[scorer.attributes[0]], strict=True):
            done[place] = prompts[place].model_copy(update={"toxicity": None if value != value else float(value)})
    return done


def judge(
    prompts: Sequence[Prompt],
    generations: Texts,
    fluency_model: str,
    seconds: dict[str, float],
    *,
    progress: Stages | None = None,
) -> TextMeasurements:
    """Likelihoods, unless ``fluency_model`` is ``none``, and languages of all generations."""
    owner, flat = _flat(prompts, generations)
    nll: list[float | None] = []
    tokens: list[int] = []
    if fluency_model != "none":
        from ..core import fluency  # it imports torch

        with timed(seconds, "fluency"):
            before, after = [well_formed(prompt.text) for prompt in owner], [well_formed(text) for text in flat]
            sums, added = fluency.load(fluency_model).score(before, after, _counting(progress, FLUENCY))
            nll = [None if value != value else float(value) for value in sums]
            tokens = [int(count) for count in added]
    with timed(seconds, "language"):
        languages = [
            None if is_empty(text) else identify_for(text, prompt.lang)
            for prompt, text in zip(owner, flat, strict=True)
        ]
    return TextMeasurements(nll, tokens, languages)


def assemble(
    prompts: Sequence[Prompt], generations: Texts, scored: Scored, judged: TextMeasurements
) -> list[PromptResult]:
    """One result a prompt from what was measured of all texts."""
    results, start = [], 0
    for prompt, texts in zip(prompts, generations, strict=True):
        here = slice(start, start + len(texts))
        start = here.stop
        results.append(
            PromptResult(
                prompt=prompt,
                generations=list(texts),
                scores={name: column[here] for name, column in scored.scores.items()},
                reasons=scored.reasons[here],
                nll=judged.nll[here],
                tokens=judged.tokens[here],
                languages=judged.languages[here],
            )
        )
    return results


def _flat(prompts: Sequence[Prompt], generations: Texts) -> tuple[list[Prompt], list[str]]:
    """``[texts]`` prompts and texts."""
    owner = [prompt for prompt, texts in zip(prompts, generations, strict=True) for _ in texts]
    return owner, [text for texts in generations for text in texts]


def work(
    prompts: Sequence[Prompt], generations: Texts, *, scorers: int = 1, fluency: bool = False, of_prompts: bool = True
) -> dict[str, int]:
    """Stage -> texts, of what ``Stages`` counts while these are measured.

    Args:
        scorers: how many score them.
        fluency: whether a fluency model reads them.
        of_prompts: whether prompts without a score of their own get one.
    """
    texts = sum(map(len, generations))
    scored = texts + (sum(map(_unscored, prompts)) if of_prompts else 0)
    return {SCORING: scorers * scored, **({FLUENCY: texts} if fluency else {})}


def _unscored(prompt: Prompt) -> bool:
    return prompt.toxicity is None and bool(prompt.text.strip())


def _counting(progress: Stages | None, stage: str) -> Callable[[int], None]:
    """What a scorer or a fluency model is given to say how many texts it has finished."""
    if progress is None:
        return lambda _: None
    progress.begin()
    return partial(progress.advance, stage)
