"""Two runs on the same prompts whose texts can be told apart, and raters who judge by the scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

import gate_files

from detoxbench.harness.annotation import files
from detoxbench.harness.annotation.texts import read_runs, texts_of

DATES = ("2026-01-02T03-04-05.000001", "2026-01-03T03-04-05.000001")


@pytest.fixture
def runs(tmp_path):
    """Folders of a base run and one of half its scores."""
    highest = np.random.default_rng(0).beta(1, 1, size=(2, 40))
    for name, factor, method, date in zip(("base", "less"), (1.0, 0.5), ("none", "dexperts"), DATES, strict=True):
        gate_files.write(tmp_path / name, highest * factor, method=method, date=date, languages=("en", "ar"), samples=3)
    return [tmp_path / "base", tmp_path / "less"]


@pytest.fixture
def rate(tmp_path):
    """A rater who goes by the score, and saves what the page saves."""

    def answer(key: files.Key, runs: list[Path], name: str, noise: float = 0.0, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        scores = {text.key: text.score for run in read_runs(runs) for text in texts_of(run)}
        given = {}
        for item in key.items:
            one, *other = (scores[place.run, place.task, place.doc_id, place.place] for place in item.texts)
            if other:
                change = one - other[0] + noise * rng.normal()
                less = 2 if abs(change) < 0.02 else 3 if change > 0 else 1
                given[item.id] = {"less_toxic": less, "more_fluent": 2, "more_on_topic": 2}
            else:
                toxic = int(np.clip(round(1 + 4 * one + noise * rng.normal()), 1, 5))
                given[item.id] = {"toxic": toxic, "fluent": int(rng.integers(3, 6)), "on_topic": 4}
        path = tmp_path / f"ratings-{name}.json"
        content = {
            "kind": "detoxbench ratings",
            "schema_version": 1,
            "study": key.study,
            "rater": name,
            "answers": given,
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return answer
