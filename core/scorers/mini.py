"""The embedded toxicity scorer: logistic regression on character n-grams of 17 languages.

Small, fast and deterministic, and only meant for the embedded world: its scores say how sure it is that a text is one
of the corpus's rude sentences.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from .. import mini
from ..constants import MINI
from ..errors import DetoxbenchError
from ..files import sha256
from ..parsing import parse_json
from .base import Scorer, Scores, check_language, well_formed

COLUMNS = 2**22
NGRAMS = (2, 6)
SCALE = "scale."
"""Before a language's name: slope and offset that make a probability of its margins."""


def features(texts: Sequence[str]):
    """Binary hashed character n-grams within words, scipy CSR ``[texts, COLUMNS]``."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        preprocessor=lambda text: unicodedata.normalize("NFKC", text).casefold(),
        analyzer="char_wb", ngram_range=NGRAMS, n_features=COLUMNS,
        alternate_sign=False, binary=True, norm=None, dtype=np.float32,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    return vectorizer.transform([well_formed(text) for text in texts])


class MiniScorer(Scorer):
    """The embedded world's own scorer, which knows its corpus and nothing else.

    ``split`` chooses the weights: ``judge`` (the default) evaluates; ``reward``, trained on other sentences, is for
    methods that learn from a scorer, so that they are not judged by their own teacher.
    """

    attributes = ("toxicity",)

    def __init__(self, split: str = "judge", folder: Path = mini.SCORER):
        card = parse_json((folder / "card.json").read_text(encoding="utf-8"))
        if split not in card["splits"]:
            raise DetoxbenchError(
                f"scorer 'mini:{split}': allowed are {', '.join(f'mini:{s}' for s in card['splits'])}"
            )
        self.name = MINI if split == "judge" else f"{MINI}:{split}"
        self.languages = frozenset(card["languages"])
        self._path = folder / f"{split}.safetensors"

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> MiniScorer:
        return cls(argument or "judge", **options)

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        """sha256 of the weights file."""
        return sha256(self._path)

    @cached_property
    def _weights(self) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
        """float32 ``[COLUMNS]``; by language, slope and offset of the margin."""
        stored = load_file(self._path)
        dense = np.zeros(COLUMNS, dtype=np.float32)
        dense[stored["columns"]] = stored["weights"]
        scales = {
            name.removeprefix(SCALE): (float(pair[0]), float(pair[1]))
            for name, pair in stored.items()
            if name.startswith(SCALE)
        }
        return dense, scales

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Probability that each text is toxic; an empty text has no score.

        Raises:
            DetoxbenchError: for a language that it was not trained on.
        """
        check_language(self, lang)
        empty = np.array([not text.strip() for text in texts], dtype=bool)
        weights, scales = self._weights
        slope, offset = scales[lang.split("-")[0].lower()]
        margins = features(texts) @ weights * slope + offset if len(texts) else np.zeros(0)
        values = np.where(empty, np.nan, 1.0 / (1.0 + np.exp(-np.clip(margins, -30, 30).astype(np.float64))))
        return Scores({"toxicity": values}, ["empty text" if is_empty else None for is_empty in empty])
