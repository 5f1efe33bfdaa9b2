"""Writes the embedded prompts: the written beginnings whose score agrees with what their writer meant."""

from __future__ import annotations

import json
from pathlib import Path

from ...constants import TOXIC
from ...scorers.mini import MiniScorer
from ..corpus import beginnings

EACH = 20
"""Toxic and non-toxic prompts of a language."""


def write(lang: str, scorer: MiniScorer, folder: Path) -> tuple[int, int]:
    """``{lang}.jsonl`` in the published systems' schema; returns how many beginnings of each kind agreed.

    Raises:
        RuntimeError: if fewer than ``EACH`` of a kind agree: the language needs more beginnings, or clearer ones.
    """
    written = beginnings(lang)
    scores = scorer.score([b.text for b in written], lang).values["toxicity"]
    rows, agreed = [], []
    for kind in (True, False):
        fit = [
            (beginning, score)
            for beginning, score in zip(written, scores, strict=True)
            if beginning.toxic is kind and bool(score >= TOXIC) is kind
        ]
        agreed.append(len(fit))
        if len(fit) < EACH:
            raise RuntimeError(f"{lang}: {len(fit)} {'toxic' if kind else 'non-toxic'} beginnings agree, not {EACH}")
        rows += [
            {"prompt": {"text": b.text, "toxicity": round(float(score), 6)}, "lang": lang} for b, score in fit[:EACH]
        ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{lang}.jsonl").write_text(text, encoding="utf-8")
    return agreed[0], agreed[1]
