"""Results and samples files as lm-eval writes them, with given scores; every number is what the samples give."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detoxbench.core.metrics.fractions import fractions
from detoxbench.core.records import ModelRun, Prompt, PromptResult, TaskRun

LANGUAGES = ("en", "fr", "ja")
HOSTILE = (
    "::set-env name=A::b ##[add-mask]x\r\n::error::no\n<script>alert(1)</script>[red]\u202e\x00\x1b[31m%0A,:]]>&\ud800"
)
_MARGINS = [f"{name}{'+' if worse else '-'}0.02" for name, worse in (
    ("expected_max_toxicity=", True), ("toxicity_probability=", True), ("toxic_fraction=", True),
    ("bits_per_byte=", True), ("dist1=", False), ("dist2=", False), ("dist3=", False),
    ("language_consistency=", False),
)]  # fmt: skip
EVERY_METRIC = [part for text in (*_MARGINS, "perplexity=x1.1") for part in ("--metric", text)]
"""Of ``detoxbench check``: a margin for each metric that is measured here."""
TOKENS = 10
"""Of each continuation."""


def result(
    lang: str,
    place: int,
    score: float,
    *,
    k: int = 25,
    consistent: float = 1.0,
    empty: int = 0,
    groups: Sequence[str] = (),
) -> PromptResult:
    """A prompt whose largest score is ``score``; its last ``empty`` continuations are empty."""
    kept = k - empty
    texts = [f" word{number} word{number % 7} again" for number in range(kept)] + [""] * empty
    scores = [float(score)] * min(1, kept) + [float(score) / 4] * max(0, kept - 1)
    right = max(0, round(kept * consistent) - place % 2)
    return PromptResult(
        prompt=Prompt(id=f"{lang}-{place}", text=f"prompt {place}", lang=lang, toxicity=0.25, groups=groups),
        generations=texts,
        scores={"toxicity": [*scores, *[None] * empty]},
        reasons=[*[None] * kept, *["empty"] * empty],
        nll=[*[TOKENS * math.log(20 + place / 25)] * kept, *[None] * empty],
        tokens=[*[TOKENS] * kept, *[0] * empty],
        languages=[*[lang] * right, *["xx"] * (kept - right), *[None] * empty],
    )  # fmt: skip


def row(found: PromptResult, doc_id: int) -> dict[str, Any]:
    """A row of a samples file."""
    return {
        "doc_id": doc_id,
        "doc": found.prompt.model_dump(exclude={"source"}),
        "filtered_resps": [list(found.generations)],
        "measured": {
            **found.model_dump(mode="json", exclude={"prompt", "generations"}),
            "prompt_toxicity": found.prompt.toxicity,
            "groups": list(found.prompt.groups),
            "fractions": {name: list(pair) for name, pair in fractions(found).items()},
        },
    }


def write(
    folder: Path,
    highest: np.ndarray | Sequence[Sequence[float]],
    *,
    model: str = "gpt2",
    method: str = "none",
    languages: Sequence[str] = LANGUAGES,
    consistent: float = 1.0,
    empty: Mapping[str, int] | int = 0,
    groups: Callable[[int], Sequence[str]] = lambda place: (),
    reverse: bool = False,
    date: str = "2026-01-02T03-04-05.000001",
    **changed: Any,
) -> Path:
    """``highest``: the prompts' largest scores, [languages, prompts]; ``empty``: continuations without text a prompt,
    for all languages or by language; ``groups``: of a prompt, by its place; ``changed``: of the tasks' records."""
    folder.mkdir(parents=True, exist_ok=True)
    configs, results = {}, {}
    for lang, scores in zip(languages, highest, strict=False):
        name = f"rtp_multilingual_{lang}"
        fields: dict[str, Any] = {
            "prompt_set": "rtp", "prompts_sha256": "0" * 64, "lang": lang, "scorer": "s", "scorer_version": "1",
            "attributes": ["toxicity"], "fluency_model": "f", "samples": 25, "generation": {"top_p": 0.9},
            "constants": {"toxic": 0.5},
        }  # fmt: skip
        record = TaskRun(**{**fields, **changed})
        configs[name] = {"detoxbench": record.model_dump()}
        missing = empty if isinstance(empty, int) else empty.get(lang, 0)
        found = [
            result(lang, place, score, k=record.samples, consistent=consistent, empty=missing, groups=groups(place))
            for place, score in enumerate(scores)
        ]
        rows = [row(one, place) for place, one in enumerate(reversed(found) if reverse else found)]
        results[name] = summary(rows)
        text = "".join(json.dumps(one) + "\n" for one in rows)
        (folder / f"samples_{name}_{date}.jsonl").write_text(text, encoding="utf-8")
    block = ModelRun(pretrained=model, method=method, method_arguments={}).model_dump()
    content = {"results": results, "configs": configs, "config": {"model": "detox", "detoxbench": block}}
    (folder / f"results_{date}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The results file's numbers of a task, without intervals."""
    pairs = [one["measured"]["fractions"] for one in rows]
    totals = {name: [math.fsum(pair[name][side] for pair in pairs) for side in (0, 1)] for name in pairs[0]}
    values = {f"{name},none": n / d if d else math.nan for name, (n, d) in totals.items()}
    return {"measured,none": float(len(rows)), **values}


def change(folder: Path, lang: str, edit: Any, doc_id: int = 0) -> None:
    """Edit one row of a language's samples file in place: ``edit`` gets the row and changes it."""
    (path,) = folder.glob(f"samples_rtp_multilingual_{lang}_*.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edit(rows[doc_id])
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
