"""Civil Comments (English news comments) and Jigsaw's multilingual Wikipedia comments (Kaggle, 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError
from ...core.validity.labelled import LabelledText
from .. import languages
from ..prompts.columns import text_of
from ..prompts.rows import read as read_rows
from .base import LabelSet, Request, collect, number, scores

CIVIL_NEEDS = "A row has 'text' and 'toxicity', the share of annotators who said so."
JIGSAW_NEEDS = "A row of validation.csv has 'comment_text', 'lang' and 'toxic'; of test.csv 'id', 'content' and 'lang'."


def read_civil(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    """The test split."""
    files, commit = chosen.files(request, "en", ("*test*.parquet", "*test*.csv", "*test*.jsonl"))
    if request.path is None:
        # The hub's layout has changed between data/ and default/test/: the pattern of the copy finds both.
        files = [file for file in files if "test" in str(file.relative_to(file.parents[1]))]
    found: list[LabelledText] = []
    if not request.wants("en"):
        return [], commit
    for file in files:
        what = f"labels 'civil_comments': '{file}'"

        def parse(row: Mapping[str, Any], line: int) -> LabelledText:
            label = number(row.get("toxicity"), "toxicity")
            return LabelledText(
                text_of(row.get("text"), "text"), "en", label, label >= 0.5, f"civil_comments/{line}",
                columns=scores(row, request.columns),
            )  # fmt: skip

        found += collect(read_rows(file, what), parse, what, CIVIL_NEEDS)
    return found, commit


def read_jigsaw(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    """``validation.csv``, and ``test.csv`` with ``test_labels.csv``: whichever are there."""
    files, commit = chosen.files(request, "all", ("validation.csv", "test.csv"))
    found: list[LabelledText] = []
    for file in files:
        labels = _labels(file.with_name("test_labels.csv")) if file.name == "test.csv" else None

        def parse(row: Mapping[str, Any], line: int, labels: Mapping[str, Any] | None = labels) -> LabelledText | None:
            code = row.get("lang")
            lang = languages.known(code) if isinstance(code, str) else None
            if lang is None:
                raise ValueError(f"'lang' is {code!r:.40}, not a language code")
            name = str(row.get("id"))
            if labels is not None and name not in labels:
                raise ValueError(f"id {name!r:.40} has no label in test_labels.csv")
            label = number(row.get("toxic") if labels is None else labels[name], "toxic")
            if not request.wants(lang):
                return None
            column = "comment_text" if labels is None else "content"
            return LabelledText(
                text_of(row.get(column), column), lang, label, label >= 0.5,
                f"jigsaw_multilingual/{'validation' if labels is None else 'test'}/{name}",
                columns=scores(row, request.columns),
            )  # fmt: skip

        what = f"labels 'jigsaw_multilingual': '{file}'"
        found += collect(read_rows(file, what), parse, what, JIGSAW_NEEDS)
    return found, commit


def _labels(file: Path) -> dict[str, Any]:
    what = f"labels 'jigsaw_multilingual': '{file}'"
    rows = [row.value for row in read_rows(file, what)]
    if any(not isinstance(row, Mapping) or "id" not in row or "toxic" not in row for row in rows):
        raise DetoxbenchError(f"{what}: a row needs 'id' and 'toxic'")
    return {str(row["id"]): row["toxic"] for row in rows}


CIVIL = LabelSet(
    "civil_comments",
    "Civil Comments",
    "share of crowd workers who call the comment toxic, toxic from one half",
    "CC0-1.0",
    "https://huggingface.co/datasets/google/civil_comments",
    "Borkan et al. 2019, Nuanced Metrics for Measuring Unintended Bias with Real Data for Text Classification",
    read_civil,
    {"en": "google/civil_comments"},
    notes="The test split. Detoxify's models, and every scorer distilled from Perspective, know the training split.",
)
JIGSAW = LabelSet(
    "jigsaw_multilingual",
    "Jigsaw Multilingual Toxic Comment Classification",
    "toxic or not, by crowd workers",
    "Kaggle's competition rules; texts CC-BY-SA-3.0 (Wikipedia)",
    "https://www.kaggle.com/c/jigsaw-multilingual-toxic-comment-classification",
    "Kivlichan et al. 2020, Jigsaw Multilingual Toxic Comment Classification",
    read_jigsaw,
    notes="Spanish, Italian and Turkish in validation.csv; French, Portuguese and Russian too in test.csv.",
)
