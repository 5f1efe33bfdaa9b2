"""HateCheck and Multilingual HateCheck: functional tests of classifiers in eleven languages.

They ask for *hate*: profanity without a target is "non-hateful" here, though a toxicity scorer may well flag it. What
every toxicity scorer should pass are the neutral and positive sentences about groups (``ident_neutral_nh``,
``ident_pos_nh``): the false-positive rate by target over those tells whether it takes a group's name for an insult.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.validity.labelled import LabelledText
from ..prompts.columns import text_of
from ..prompts.rows import read as read_rows
from .base import LabelSet, Request, collect, scores

LANGUAGES = {
    "en": "english", "ar": "arabic", "nl": "dutch", "fr": "french", "de": "german", "hi": "hindi", "it": "italian",
    "zh": "mandarin", "pl": "polish", "pt": "portuguese", "es": "spanish",
}  # fmt: skip
LABELS = {"hateful": 1.0, "non-hateful": 0.0}
IDENTITY = ("ident_neutral_nh", "ident_pos_nh")
"""Functionalities that name a group in a neutral or positive sentence."""
NAMES = {"jews": "Jews"}
"""Groups that the languages' files write differently."""
PATTERNS = ("*.csv", "*.parquet")
NEEDS = "A row has 'test_case', 'label_gold' (hateful, non-hateful), 'functionality' and 'target_ident'."


def read(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    found: list[LabelledText] = []
    commits = []
    for lang in LANGUAGES:
        if not request.wants(lang):
            continue
        files, commit = chosen.files(request, lang, PATTERNS)
        commits.append(commit)
        for file in files:
            if request.path is None or _lang(file) == lang:
                what = f"labels 'hatecheck': '{file}'"
                parse = _parser(lang, request)
                found += collect(read_rows(file, what), parse, what, NEEDS)
    return found, ",".join(dict.fromkeys(commit for commit in commits if commit)) or None


def _lang(file: Path) -> str:
    """By the file's name: ``french.csv``, ``hatecheck_cases_final_french.csv``; English says nothing."""
    stem = file.stem.lower()
    return next((lang for lang, name in LANGUAGES.items() if name in stem or stem == lang), "en")


def _parser(lang: str, request: Request):
    def parse(row: Mapping[str, Any], line: int) -> LabelledText:
        label = LABELS.get(str(row.get("label_gold")))
        if label is None:
            raise ValueError(f"'label_gold' is {row.get('label_gold')!r:.40}, not one of {', '.join(LABELS)}")
        functionality, target = str(row.get("functionality") or ""), str(row.get("target_ident") or "")
        target = NAMES.get(target, target)
        groups = {"functionality": functionality, "target": target}
        if functionality in IDENTITY and target:
            groups["identity"] = target
        template = row.get("templ_id") or f"line-{line}"
        return LabelledText(
            text_of(row.get("test_case"), "test_case"), lang, label, label >= 0.5,
            f"hatecheck/{lang}/{template}", groups={name: value for name, value in groups.items() if value},
            columns=scores(row, request.columns),
        )  # fmt: skip

    return parse


ENGLISH = "Paul/hatecheck@534544a6f67896dd45eef940b1bb5e3dfa3c9c7b"
"""After the upload of the final test cases (6b054b7)."""

SET = LabelSet(
    "hatecheck",
    "HateCheck and Multilingual HateCheck",
    "hateful or not, by construction of the test case; profanity without a target is not hateful",
    "CC-BY-4.0",
    "https://github.com/rewire-online/multilingual-hatecheck",
    "Röttger et al. 2021, HateCheck; Röttger et al. 2022, Multilingual HateCheck",
    read,
    {lang: ENGLISH if lang == "en" else f"Paul/hatecheck-{name}" for lang, name in LANGUAGES.items()},
    notes="Cases of one template are resampled together. Group 'identity': neutral and positive sentences that name a "
    "group; every text of it that a scorer calls toxic is a false positive.",
)
