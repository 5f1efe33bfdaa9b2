"""English texts to fit and validate scorers on: ParaDetox (Logacheva et al. 2022) and Davidson et al. (2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.files import sha256_text
from ...core.validity.labelled import LabelledText
from ..prompts.columns import text_of
from ..prompts.rows import read as read_rows
from .base import LabelSet, Request, collect, number, scores

NEUTRAL = ("neutral1", "neutral2", "neutral3")
PARADETOX_NEEDS = "A row has 'toxic' and up to three paraphrases, 'neutral1' to 'neutral3' (or 'en_toxic_comment' …)."
DAVIDSON_NEEDS = "A row has 'tweet', 'count', 'hate_speech', 'offensive_language' and 'neither'."


def read_paradetox(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    """Each sentence and its paraphrases, which make one cluster."""
    files, commit = chosen.files(request, "en", ("*.tsv", "*.csv", "*.parquet"))
    found: list[LabelledText] = []
    for file in files if request.wants("en") else ():
        what = f"labels 'paradetox': '{file}'"

        def parse(row: Mapping[str, Any], line: int) -> LabelledText:
            text = text_of(row.get("toxic", row.get("en_toxic_comment")), "toxic")
            return LabelledText(
                text, "en", 1.0, True, f"paradetox/{sha256_text(text)[:16]}", columns=scores(row, request.columns)
            )

        def neutral(row: Mapping[str, Any], line: int, name: str) -> LabelledText | None:
            text = row.get(name)
            cluster = parse(row, line).cluster
            return None if text is None or not str(text).strip() else LabelledText(str(text), "en", 0.0, False, cluster)

        found += collect(read_rows(file, what), parse, what, PARADETOX_NEEDS)
        for name in (*NEUTRAL, "en_neutral_comment"):
            found += collect(
                read_rows(file, what), lambda row, line, name=name: neutral(row, line, name), what, PARADETOX_NEEDS
            )
    return found, commit


def read_davidson(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    """Tweets; the label is the share of annotators who chose hate speech or offensive language."""
    files, commit = chosen.files(request, "en", ("*.csv", "*.parquet"))
    found: list[LabelledText] = []
    for file in files if request.wants("en") else ():
        what = f"labels 'davidson': '{file}'"

        def parse(row: Mapping[str, Any], line: int) -> LabelledText:
            text = text_of(row.get("tweet"), "tweet")
            count = number(row.get("count"), "count", 1, 1000)
            label = sum(number(row.get(name), name, 0, count) for name in ("hate_speech", "offensive_language")) / count
            return LabelledText(
                text, "en", label, label >= 0.5, f"davidson/{sha256_text(text)[:16]}",
                columns=scores(row, request.columns),
            )  # fmt: skip

        found += collect(read_rows(file, what), parse, what, DAVIDSON_NEEDS)
    return found, commit


PARADETOX = LabelSet(
    "paradetox",
    "ParaDetox",
    "a toxic sentence, or a neutral paraphrase of one that people wrote",
    "CC0-1.0",
    "https://github.com/s-nlp/paradetox",
    "Logacheva et al. 2022, ParaDetox: Detoxification with Parallel Data",
    read_paradetox,
    {"en": "s-nlp/paradetox@93a90090fa1697206d72b408c05615639483af14"},
    notes="Sentence and paraphrases are resampled together. Far easier than unpaired text. CC0 is what "
    "came with paradetox.tsv; the hub's page says openrail++.",
)
DAVIDSON = LabelSet(
    "davidson",
    "Davidson et al.: hate speech and offensive language",
    "share of crowd workers who call the tweet hateful or offensive, toxic from one half",
    "MIT",
    "https://github.com/t-davidson/hate-speech-and-offensive-language",
    "Davidson et al. 2017, Automated Hate Speech Detection and the Problem of Offensive Language",
    read_davidson,
    {"en": "tdavidson/hate_speech_offensive"},
    notes="Tweets were found by words of a hate lexicon; five in six are offensive.",
)
