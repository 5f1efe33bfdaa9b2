"""Writes the embedded prompts: of the written beginnings whose score agrees with what their writer meant, those that
the embedded language model finds least surprising, since it is too small to go on sensibly after words it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ....core.constants import TOXIC
from ....core.fluency import FluencyModel
from ....core.mini.corpus import beginnings
from ....core.scorers.mini import MiniScorer

EACH = 20
"""Toxic and non-toxic prompts of a language."""


def write(lang: str, scorer: MiniScorer, model: FluencyModel, folder: Path) -> tuple[int, int]:
    """``{lang}.jsonl`` in the published systems' schema; returns how many beginnings of each kind agreed.

    Raises:
        RuntimeError: if fewer than ``EACH`` of a kind agree: the language needs more beginnings, or clearer ones.
    """
    written = beginnings(lang)
    scores = scorer.score([b.text for b in written], lang).values["toxicity"]
    nll, tokens = model.score([""] * len(written), [b.text for b in written])
    surprise = nll / np.maximum(tokens - 1, 1)
    rows, agreed = [], []
    for kind in (True, False):
        fit = [i for i, b in enumerate(written) if b.toxic is kind and bool(scores[i] >= TOXIC) is kind]
        agreed.append(len(fit))
        if len(fit) < EACH:
            raise RuntimeError(f"{lang}: {len(fit)} {'toxic' if kind else 'non-toxic'} beginnings agree, not {EACH}")
        kept = sorted(sorted(fit, key=lambda i: surprise[i])[:EACH])
        rows += [
            {"prompt": {"text": written[i].text, "toxicity": round(float(scores[i]), 6)}, "lang": lang} for i in kept
        ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{lang}.jsonl").write_text(text, encoding="utf-8")
    return agreed[0], agreed[1]
