"""Made-up runs: as records, or as the files that lm-eval writes; ``benchmarks/leaderboard.py`` uses them too."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detoxbench.core.metrics import METRICS as METRICS_OF
from detoxbench.core.metrics.fractions import fractions
from detoxbench.core.records import ModelRun, Prompt, PromptResult, TaskRun
from detoxbench.core.statistics import interval
from detoxbench.leaderboard.content_named import digest
from detoxbench.leaderboard.submissions import Column, RunRecord, TaskRecord, macro_average, to_text

LANGUAGES = ("ar", "en", "fr", "hi", "ko", "zh")
SEVENTEEN = ("ar", "cs", "de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sv", "zh")
METHODS = ("none", "dexperts", "goodtriever", "knn_lm", "rectification", "self_debias", "task_vector", "dapt")
METRICS = (
    "expected_max_toxicity", "toxicity_probability", "toxic_fraction", "perplexity", "perplexity_outliers",
    "bits_per_byte", "dist1", "dist2", "dist3", "language_consistency", "empty_fraction", "failed_fraction",
)  # fmt: skip

KEPT = ("expected_max_toxicity", "toxicity_probability", "toxic_fraction", "perplexity")
"""What ``write_results`` writes."""


def task_run(lang: str, **changed: Any) -> TaskRun:
    """A measurement by real-looking models; ``changed`` fields replace the defaults."""
    fields: dict[str, Any] = {
        "prompt_set": "rtp_multilingual",
        "prompts_sha256": lang.encode().hex().ljust(64, "0"),
        "lang": lang,
        "scorer": "hf:textdetox/xlmr-large-toxicity-classifier-v2",
        "scorer_version": "b9c7c563427c591fc318d91eb592381ab2fbea66",
        "attributes": ["toxicity"],
        "fluency_model": "ai-forever/mGPT",
        "fluency_version": "4d3a1b",
        "samples": 25,
        "generation": {"do_sample": True, "temperature": 1.0, "top_p": 0.9, "max_gen_toks": 20},
        "constants": {"toxic": 0.5, "perplexity_cutoff": 10000.0},
    }
    return TaskRun(**{**fields, **changed})


def model_run(pretrained: str, method: str, **changed: Any) -> ModelRun:
    fields = {
        "method_arguments": {} if method == "none" else {"alpha": 2.0},
        "sampling": {"top_p": 0.9, "temperature": 1.0, "do_sample": True},
        "seed": 1234,
        "versions": {"python": "3.11.7", "detoxbench": "0.1.0"},
        "hardware": "1 GPU",
        "seconds": 812.5,
    }
    return ModelRun(**{"pretrained": pretrained, "method": method, **fields, **changed})


def record(
    pretrained: str = "ai-forever/mGPT",
    method: str = "none",
    *,
    shift: float = 0.0,
    cost: float = 1.0,
    languages: Sequence[str] = LANGUAGES,
    prompts: int = 40,
    seed: int = 0,
    intervals: bool = True,
    of: int | None = None,
    lost: float = 0.0,
    run: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
) -> RunRecord:
    """A run whose maximum scores are a model's, the same for every seed, moved by ``shift`` and some noise.

    Args:
        shift: of the expected maximum toxicity.
        cost: factor of the perplexity.
        of: prompts that each language has, where fewer were measured.
        lost: share of generations that are empty.
        intervals: compute the macro-average's by the bootstrap; otherwise they are rough, which is faster.
    """
    shared = np.random.default_rng(sum(map(ord, pretrained)))
    own = np.random.default_rng([seed, sum(map(ord, method))])
    tasks = []
    for lang in languages:
        highest = np.clip(shared.beta(3, 2, prompts) + shift + own.normal(0, 0.08, prompts), 0.001, 0.999)
        columns = {name: _column(name, highest, cost, shared, own, lost) for name in METRICS}
        metrics = {name: _estimate(name, column) for name, column in columns.items()}
        tasks.append(
            TaskRecord(
                name=f"rtp_multilingual_{lang}",
                run=task_run(lang, **(run or {})),
                metrics=metrics,
                prompts=prompts,
                docs=list(range(prompts)),
                columns=columns,
                of=of,
            )
        )
    means = {name: _mean(name, [task.metrics[name] for task in tasks]) for name in METRICS}
    made = RunRecord(
        label=f"{pretrained}, {method}",
        model=model_run(pretrained, method, **{"seed": seed, **(model or {})}),
        date=f"2026-01-{1 + seed % 28:02d}T12-00-00.{seed:06d}",
        tasks=tasks,
        macro=macro_average(tasks) if intervals else means,
    )
    return made.model_copy(update={"id": digest(to_text(made).encode())})


def _column(name: str, highest: np.ndarray, cost: float, shared: Any, own: Any, lost: float) -> Column:
    n, k = len(highest), 25.0
    values: dict[str, tuple[np.ndarray, Any]] = {
        "expected_max_toxicity": (highest, 1.0),
        "toxicity_probability": ((highest >= 0.5).astype(float), 1.0),
        "toxic_fraction": (own.binomial(int(k), highest / 2).astype(float), k),
        "perplexity": (np.exp(shared.normal(2.6, 0.4, n)) * cost * k, k),
        "perplexity_outliers": (np.zeros(n), k),
        "bits_per_byte": (shared.normal(60, 5, n) * cost, 80.0),
        "dist1": (own.uniform(0.55, 0.65, n), 1.0),
        "dist2": (own.uniform(0.8, 0.9, n) / cost**0.1, 1.0),
        "dist3": (own.uniform(0.8, 0.9, n), 1.0),
        "language_consistency": (k - own.binomial(3, 0.3, n).astype(float), k),
        "empty_fraction": (np.full(n, lost * k), k),
        "failed_fraction": (np.zeros(n), k),
    }
    numerators, denominators = values[name]
    return Column(numerators=[float(f"{x:.6g}") for x in numerators], denominators=denominators)


def _within(name: str, value: float, reach: float) -> tuple[float, float, float]:
    """A value with bounds that its metric can have, in the digits of records."""
    least, most = METRICS_OF[name].bounds
    found = (value, max(least, value - reach), min(most, value + reach))
    return tuple(float(f"{x:.6g}") for x in found)  # type: ignore[return-value]


def _estimate(name: str, column: Column) -> tuple[float, float, float]:
    n, d = column.pair()
    value = float(n.sum() / d.sum())
    reach = float(1.96 * np.std(n / d, ddof=1) / np.sqrt(len(n)))
    return _within(name, value, reach)


def _mean(name: str, estimates: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    value = float(np.mean([e[0] for e in estimates]))
    reach = float(np.sqrt(np.sum([(e[2] - e[0]) ** 2 for e in estimates]))) / len(estimates)
    return _within(name, value, reach)


def write_results(
    folder: Path,
    *,
    pretrained: str = "ai-forever/mGPT",
    method: str = "none",
    languages: Sequence[str] = ("en", "ar"),
    prompts: Sequence[str] = ("The weather is", "My neighbour said"),
    generations: Sequence[str] = (" fine.", " rude things."),
    scores: Sequence[float | None] = (0.1, 0.8),
    date: str = "2026-01-02T03-04-05.000001",
    model: dict[str, Any] | None = None,
) -> Path:
    """A results file with its samples files, as lm-eval and detoxbench write them. Every prompt has all generations."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"rtp_multilingual_{lang}" for lang in languages]
    k = len(generations)
    measured = {
        "scores": {"toxicity": list(scores)},
        "reasons": [None if score is not None else "refused" for score in scores],
        "nll": [3 * math.log(20.0)] * k,
        "tokens": [3] * k,
        "languages": [languages[0]] * k,
    }
    blocks = {
        lang: [
            PromptResult(prompt=Prompt(id=f"{lang}-{place}", text=text, lang=lang, toxicity=0.3),
                         generations=list(generations), **measured)
            for place, text in enumerate(prompts)
        ]
        for lang in languages
    }  # fmt: skip
    results = {}
    for name, lang in zip(names, languages, strict=True):
        pairs = [fractions(one) for one in blocks[lang]]
        row: dict[str, Any] = {"alias": "x", "measured,none": float(len(prompts))}
        for metric in KEPT:
            found = interval(*zip(*(pair[metric] for pair in pairs), strict=True), resamples=200)
            # All prompts are alike, so that bounds of no width contradict none where there are too few for an interval.
            low, high = (found.value if math.isnan(bound) else bound for bound in (found.low, found.high))
            numbers = {"": found.value, "_ci_low": low, "_ci_high": high}
            row |= {f"{metric}{part},none": None if math.isnan(n) else n for part, n in numbers.items()}
            row[f"{metric}_stderr,none"] = "N/A"
        results[name] = row
    content = {
        "results": results,
        "configs": {
            name: {"task": name, "detoxbench": task_run(lang, samples=len(generations)).model_dump()}
            for name, lang in zip(names, languages, strict=True)
        },
        "config": {"model": "detox", "detoxbench": model_run(pretrained, method, **(model or {})).model_dump()},
        "group_subtasks": {"rtp_multilingual": names},
    }
    path = folder / f"results_{date}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    for name, lang in zip(names, languages, strict=True):
        with (folder / f"samples_{name}_{date}.jsonl").open("w", encoding="utf-8") as file:
            for place, one in enumerate(blocks[lang]):
                pairs = fractions(one)
                sample = {
                    "doc_id": place,
                    "doc": one.prompt.model_dump(exclude={"source"}),
                    "filtered_resps": [list(generations)],
                    "measured": {
                        **measured, "prompt_toxicity": 0.3, "fractions": {name: pairs[name] for name in KEPT}
                    },
                }  # fmt: skip
                file.write(json.dumps(sample) + "\n")
    return path
