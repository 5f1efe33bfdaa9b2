"""``ngram``: logistic regression on hashed n-grams, for real text in 17 languages, embedded; ``ngram:FOLDER`` is one
that ``detoxbench fit scorer`` made.

No network, no GPU, a few megabytes, tens of thousands of texts a second. What its scores are worth in each language
stands in the card beside the weights, and in ``validity``. Weights of hashes say nothing of the texts they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ..errors import DetoxbenchError
from ..files import sha256
from ..parsing import parse_json
from . import ngram_features
from .base import Scorer, Scores, check_language
from .ngram_features import BITS, LONGEST, SIZES, WORDS
from .spec import parse

EMBEDDED = Path(__file__).parents[1] / "ngram"
WEIGHTS, CARD = "weights.safetensors", "card.json"
KIND = "detoxbench.scorer.ngram"
SCHEMA = 1
FEATURES = {"bits": BITS, "sizes": list(SIZES), "words": list(WORDS), "version": 1}
"""What a card must say of its features: weights of others are of no use here. A change of the hashes is a version."""
ROOM = 2**16
"""Characters at a time: the arrays of so many fit into a processor's cache, and memory stays bounded."""
DECIMALS = 6
"""Of a score: the last bits of an exponential differ between processors."""


class NgramScorer(Scorer):
    """``ngram`` or ``ngram:<folder>``: logistic regression on hashed n-grams, embedded, for real text.

    Args:
        folder: with ``weights.safetensors`` and ``card.json``.
        name: what results call it.

    Raises:
        DetoxbenchError: for a folder that holds none, or one of another version.
    """

    attributes = ("toxicity",)

    def __init__(self, folder: Path = EMBEDDED, name: str = "ngram"):
        self.name = name
        self.folder = folder
        self.card = _card(folder)
        self.languages = frozenset(self.card["languages"])

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> NgramScorer:
        """``ngram`` or ``ngram:FOLDER``; a fitted one is named by its folder's name, told apart by its version."""
        if not argument.strip():
            parse("ngram", "", options, options={})
            return cls()
        (folder,), _ = parse("ngram", argument, options, arguments=("folder",), options={})
        path = Path(folder).expanduser()
        return cls(path, f"ngram:{path.resolve().name}")

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        """sha256 of the weights."""
        return f"sha256:{sha256(self.folder / WEIGHTS)}"

    @cached_property
    def _weights(self) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
        """float32 ``[columns of the table]``; by language, slope and offset of the margin."""
        path = self.folder / WEIGHTS
        try:
            stored = load_file(path)
            table = np.zeros(2**BITS, np.float32)  # holds halves exactly, in half the memory to look up in
            table[stored["columns"]] = stored["weights"]
            scales = dict(zip(sorted(self.card["languages"]), stored["scales"].astype(float).tolist(), strict=True))
        except (OSError, SafetensorError, KeyError, IndexError, ValueError) as error:
            raise DetoxbenchError(f"scorer '{self.name}': '{path}' cannot be read: {error}") from None
        return table, {lang: (slope, offset) for lang, (slope, offset) in scales.items()}

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Calibrated probability that people call each text toxic; a text without a word has no score.

        Raises:
            DetoxbenchError: for a language that it was not fitted on.
        """
        check_language(self, lang)
        table, scales = self._weights
        primary = lang.split("-")[0].lower()
        slope, offset = scales[primary]
        margins = margins_of(texts, primary, table, primary not in self.card["alone"])
        values = np.round(1 / (1 + np.exp(-np.clip(margins * slope + offset, -30, 30))), DECIMALS)
        reasons = [
            None if scored else "no word in it" if text.strip() else "empty text"
            for text, scored in zip(texts, np.isfinite(margins), strict=True)
        ]
        return Scores({self.attributes[0]: values}, reasons)


def margins_of(texts: Sequence[str], lang: str, table: np.ndarray, shared: bool = True) -> np.ndarray:
    """Sum of the weights of each text's n-grams over the root of their number: [texts], NaN where there is none."""
    numbers, sums = np.zeros(len(texts), np.int64), np.zeros(len(texts))
    for start, end in _batches(texts):
        for rows, columns in ngram_features.grams(texts[start:end], lang, shared):
            numbers[start:end] += np.bincount(rows, minlength=end - start)
            sums[start:end] += np.bincount(rows, weights=table[columns], minlength=end - start)
    return np.divide(sums, np.sqrt(numbers), out=np.full(len(texts), np.nan), where=numbers > 0)


def _batches(texts: Sequence[str]) -> list[tuple[int, int]]:
    """First text and the one after the last of each batch of about ``ROOM`` characters."""
    lengths = np.cumsum([min(len(text), LONGEST) + 1 for text in texts])
    cuts = np.flatnonzero(np.diff(lengths // ROOM)) + 1
    places = [0, *cuts.tolist(), len(texts)] if len(texts) else []
    return list(pairwise(places))


def _card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    hint = "detoxbench fit scorer --kind ngram makes such a folder"
    try:
        card = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DetoxbenchError(f"scorer 'ngram': '{path}' cannot be read ({error.strerror}); {hint}") from None
    except ValueError as error:
        raise DetoxbenchError(f"scorer 'ngram': '{path}' is not JSON ({error}); {hint}") from None
    if not isinstance(card, dict) or card.get("kind") != KIND or card.get("schema_version") != SCHEMA:
        raise DetoxbenchError(f"scorer 'ngram': '{path}' is no card of kind {KIND}, version {SCHEMA}; {hint}")
    if card.get("features") != FEATURES:
        raise DetoxbenchError(
            f"scorer 'ngram': '{path}' was fitted on other features ({card.get('features')}) than this version's "
            f"({FEATURES}): fit it again"
        )
    return card
