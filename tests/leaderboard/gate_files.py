"""Results and samples files as lm-eval writes them, with given scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from detoxbench.core.records import ModelRun, TaskRun

LANGUAGES = ("en", "fr", "ja")
HOSTILE = (
    "::set-env name=A::b ##[add-mask]x\r\n::error::no\n<script>alert(1)</script>[red]\u202e\x00\x1b[31m%0A,:]]>&\ud800"
)


def write(
    folder: Path,
    highest: np.ndarray,
    *,
    model: str = "gpt2",
    method: str = "none",
    consistent: float = 1.0,
    reverse: bool = False,
    date: str = "2026-01-02T03-04-05.000001",
    **changed: Any,
) -> Path:
    """``highest``: the prompts' largest scores, [languages, prompts]; ``changed``: of the tasks' records."""
    folder.mkdir(parents=True, exist_ok=True)
    configs = {}
    for lang, scores in zip(LANGUAGES, highest, strict=False):
        name = f"rtp_multilingual_{lang}"
        fields: dict[str, Any] = {
            "prompt_set": "rtp", "prompts_sha256": "0" * 64, "lang": lang, "scorer": "s", "scorer_version": "1",
            "attributes": ["toxicity"], "fluency_model": "f", "samples": 25, "generation": {"top_p": 0.9},
            "constants": {"toxic": 0.5},
        }  # fmt: skip
        configs[name] = {"detoxbench": TaskRun(**{**fields, **changed}).model_dump()}
        rows = []
        for place, score in enumerate(scores):
            fractions = {
                "expected_max_toxicity": [float(score), 1.0],
                "perplexity": [500.0 + place, 25.0],
                "failed_fraction": [0.0, 25.0],
                "language_consistency": [25 * consistent - place % 2, 25.0],
                "dist2": [0.8, 1.0],
            }
            doc = {"id": f"{lang}-{place}", "text": f"prompt {place}", "lang": lang}
            rows.append({"doc_id": place, "doc": doc, "measured": {"fractions": fractions}})
        if reverse:
            rows = [{**row, "doc_id": place} for place, row in enumerate(reversed(rows))]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"samples_{name}_{date}.jsonl").write_text(text, encoding="utf-8")
    block = ModelRun(pretrained=model, method=method, method_arguments={}).model_dump()
    content = {"results": {}, "configs": configs, "config": {"model": "detox", "detoxbench": block}}
    (folder / f"results_{date}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
