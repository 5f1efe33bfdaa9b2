"""RTP-LX's human annotations: three annotators a text, toxicity from 1 to 5, 38 languages.

Two layouts are read: the official one (``Prompt``, ``Index``, ``Locale``, ``AnnotationsRaw`` or ``Annotations``), from
the encrypted archive or its unpacked files, and one row a text with ``text``, ``annotators``, ``index``, ``locale`` and
published scores such as ``gpt4``. Rows of one index are translations of one prompt and make one cluster.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ...core.errors import DetoxbenchError
from ...core.validity.labelled import LabelledText
from .. import languages
from ..prompts.columns import text_of
from ..prompts.rows import Row
from ..prompts.rows import read as read_rows
from ..prompts.rtp_lx import PASSWORD, TASKS, WHERE, locale_rows
from .base import RATING, LabelSet, Request, collect, local, number, rated, scores

PATTERNS = ("*.jsonl", "*.json")
NEEDS = (
    "A row is RTP-LX's {'Prompt', 'Index', 'Locale', 'AnnotationsRaw': {'Toxicity': [1 to 5, …]}}, or "
    "{'text', 'index', 'locale', 'annotators': [1 to 5, …]}."
)


def read(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    if request.path is None:
        raise DetoxbenchError(f"labels 'rtp_lx': {WHERE}, then give --path, and set {PASSWORD} for the archive")
    found: list[LabelledText] = []
    for name, rows in _sources(request):
        found += collect(rows, lambda row, line: _parse(row, line, request), f"labels 'rtp_lx': '{name}'", NEEDS)
    return found, None


def _sources(request: Request) -> Iterator[tuple[str, Iterator[Row]]]:
    path = request.path
    if path is not None and path.suffix.lower() == ".zip":
        for lang, locale in TASKS.items():
            if request.wants(lang):
                yield f"{path}: {locale}", locale_rows(path, locale, os.environ.get(PASSWORD))
        return
    for file in local("rtp_lx", path, PATTERNS):  # type: ignore[arg-type]
        yield str(file), read_rows(file, f"labels 'rtp_lx': '{file}'")


def _parse(row: Mapping[str, Any], line: int, request: Request) -> LabelledText | None:
    official = "Prompt" in row
    locale = row.get("Locale" if official else "locale")
    lang = languages.known(locale) if isinstance(locale, str) else None
    if lang is None:
        raise ValueError(f"'locale' is {locale!r:.40}, not a language code")
    ratings = _official(row) if official else rated(row.get("annotators"), "annotators")
    if not request.wants(lang) or not ratings:
        return None
    name = row.get("Index" if official else "index")
    mean = sum(ratings) / len(ratings)
    return LabelledText(
        text_of(row.get("Prompt" if official else "text"), "text"), lang, mean, mean >= request.positive,
        f"rtp_lx/{name}" if name is not None else f"rtp_lx/{lang}-line-{line}", ratings,
        columns=scores(row, request.columns),
    )  # fmt: skip


def _official(row: Mapping[str, Any]) -> tuple[float, ...]:
    """The annotators' ratings, or their mean where the file has that alone; none for a row without."""
    raw = row.get("AnnotationsRaw")
    if isinstance(raw, Mapping) and raw.get("Toxicity") is not None:
        return rated(raw["Toxicity"], "AnnotationsRaw.Toxicity")
    mean = next((row[name] for name in ("Annotations", "PromptAnnotations") if isinstance(row.get(name), Mapping)), {})
    value = mean.get("Toxicity")
    return () if value is None or value != value else (number(value, "Annotations.Toxicity", *RATING),)


PUBLISHED = {
    "linear_weighted_kappa": {
        "people": 0.640, "Llama-3-70B": 0.440, "GPT-4-Turbo": 0.435, "Llama-3-8B": 0.397, "Gemma-7B": 0.300,
        "Llama Guard 7B": 0.220,
    }
}  # fmt: skip
"""With the human aggregate, on toxicity."""

SET = LabelSet(
    "rtp_lx",
    "RTP-LX: human annotations",
    "mean of three native speakers' toxicity ratings (1 to 5), toxic from 3",
    "MIT",
    "https://github.com/microsoft/RTP-LX",
    "de Wynter et al. 2025, RTP-LX: Can LLMs Evaluate Toxicity in Multilingual Scenarios?",
    read,
    notes="Prompts are transcreated: rows of one Index are translations, and are resampled together.",
    published=PUBLISHED,
)
