"""Trains the two scorers: naive-Bayes-weighted logistic regression (Wang and Manning 2012) on character n-grams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from safetensors.numpy import save_file

from ....core.mini.corpus import Sentence
from ....core.scorers.mini import SCALE, features

MIN_TEMPLATES = 3
"""An n-gram counts only if that many templates have it: one of a single sentence says nothing of others."""
REGULARISATION = 0.01
FOLDS = 5
PREVALENCE = 0.2
"""Share of toxic texts for which the scores are probabilities: about that of what is scored later; of the corpus it
is half. Of a text that says nothing either way, a score made for halves would be 0.5: toxic."""


def train(sentences: Sequence[Sentence], path: Path) -> None:
    """Fit on the sentences and write columns, weights and each language's scale as safetensors.

    Each language's margins are scaled to a probability (Platt 1999) on the second halves of sentences whose template
    the weights had not seen: what is scored later are continuations, which are fragments too. They are weighted to
    ``PREVALENCE``.
    """
    x = features([s.text for s in sentences])
    halves = features([second_half(s.text) for s in sentences])
    y = np.array([s.toxic for s in sentences])
    _, template = np.unique([f"{s.lang}\0{s.toxic}\0{s.template}" for s in sentences], return_inverse=True)
    fold = np.random.default_rng(0).integers(FOLDS, size=template.max() + 1)[template]
    margins = np.zeros(len(y))
    for held in range(FOLDS):
        columns, weights, bias = _fit(x[fold != held], y[fold != held], template[fold != held])
        margins[fold == held] = halves[fold == held][:, columns] @ weights + bias
    langs = np.array([s.lang for s in sentences])
    scales = {lang: _platt(margins[langs == lang], y[langs == lang]) for lang in sorted(set(langs))}
    columns, weights, bias = _fit(x, y, template)
    save_file(
        {
            "columns": columns.astype(np.int32),
            "weights": weights.astype(np.float16),
            **{
                f"{SCALE}{lang}": np.array([slope, bias * slope + offset], dtype=np.float32)
                for lang, (slope, offset) in scales.items()
            },
        },
        path,
    )


def second_half(text: str) -> str:
    """What follows the first space after the middle; half of the characters where there is none."""
    middle = len(text) // 2
    space = text.find(" ", middle)
    return text[space + 1 :] if space >= 0 else text[middle:]


def _fit(x: sp.csr_matrix, y: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    _, rows = np.unique(template, return_inverse=True)
    groups = sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, np.arange(len(rows)))))
    present = (groups @ x) > 0  # [templates, columns]
    columns = np.flatnonzero(np.asarray(present.sum(0)).ravel() >= MIN_TEMPLATES)
    toxic = np.zeros(rows.max() + 1, dtype=bool)
    toxic[rows] = y
    counts = [np.asarray(present[part][:, columns].sum(0)).ravel() + 1.0 for part in (toxic, ~toxic)]
    ratio = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
    model = LogisticRegression(C=REGULARISATION, max_iter=500).fit(x[:, columns] @ sp.diags(ratio), y)
    return columns, model.coef_[0] * ratio, float(model.intercept_[0])


def _platt(margins: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    weights = np.where(y, PREVALENCE / y.mean(), (1 - PREVALENCE) / (1 - y.mean()))
    model = LogisticRegression(C=1.0).fit(margins[:, None], y, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
