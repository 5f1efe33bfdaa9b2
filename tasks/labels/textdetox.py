"""textdetox/multilingual_toxicity_dataset: 5,000 texts a language, half of them toxic, compiled for a shared task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.validity.labelled import LabelledText
from .. import languages
from ..prompts.columns import text_of
from ..prompts.rows import read as read_rows
from .base import LabelSet, Request, collect, number, scores

OWN = {"hin": "hi-Latn"}
"""The set's code for Hindi in Latin script, which is ISO 639-3's for Hindi."""
PATTERNS = ("*.parquet", "*.csv", "*.jsonl")
NEEDS = "A row has 'text' and 'toxic' (0 or 1); the file's name begins with its language."


def read(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    patterns = PATTERNS if request.path else ("data/*.parquet",)
    files, commit = chosen.files(request, "all", patterns)
    found: list[LabelledText] = []
    for file in files:
        code = file.name.partition(".")[0].partition("-")[0]
        lang = OWN.get(code) or languages.known(code)
        if lang is None or not request.wants(lang):
            continue

        def parse(row: Mapping[str, Any], line: int, lang: str = lang) -> LabelledText:
            label = number(row.get("toxic"), "toxic")
            text = text_of(row.get("text"), "text")
            return LabelledText(
                text, lang, label, label >= 0.5, f"textdetox/{lang}/{line}", columns=scores(row, request.columns)
            )

        what = f"labels 'textdetox': '{file}'"
        found += collect(read_rows(file, what), parse, what, NEEDS)
    return found, commit


SET = LabelSet(
    "textdetox",
    "TextDetox: multilingual toxicity",
    "toxic or not, as labelled by the sets that it was compiled from",
    "openrail++",
    "https://huggingface.co/datasets/textdetox/multilingual_toxicity_dataset",
    "Dementieva et al. 2024, Overview of the Multilingual Text Detoxification Task at PAN 2024",
    read,
    {"all": "textdetox/multilingual_toxicity_dataset"},
    revision="684bfd68651993aafc5ca653c35747e43f5b5c43",
    notes="Nine languages at the pinned revision; --revision main has more. The textdetox classifiers were trained on "
    "this set: their figures on it say how well they remember.",
)
