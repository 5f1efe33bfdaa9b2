"""Any file of labelled texts: ``text``, ``label`` or ``annotators``, and what else it has of ``lang``, ``group``,
``cluster``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...core.errors import DetoxbenchError
from ...core.files import sha256
from ...core.prompt_names import SUFFIXES
from ...core.validity.labelled import LabelledText
from .. import languages
from ..prompts.columns import text_of
from ..prompts.rows import read as read_rows
from .base import LabelSet, Request, collect, local, number, rated, scores

NEEDS = "A row needs 'text', and 'label' (0 to 1) or 'annotators' (a list of ratings from 1 to 5)."
DEFAULT_LANG = "en"


def read(chosen: LabelSet, request: Request) -> tuple[list[LabelledText], str | None]:
    if request.path is None:
        raise DetoxbenchError("labels 'file': give the file's path, as in --labels my.jsonl")
    found: list[LabelledText] = []
    for file in local("file", request.path, [f"*{suffix}" for suffix in SUFFIXES]):
        what = f"labels '{file}'"
        name = sha256(file)[:12]

        def parse(row: Mapping[str, Any], line: int, name: str = name) -> LabelledText | None:
            return _parse(row, f"{name}/{line}", request)

        found += collect(read_rows(file, what), parse, what, NEEDS)
    return found, None


def _parse(row: Mapping[str, Any], own: str, request: Request) -> LabelledText | None:
    code = row.get("lang", row.get("locale", DEFAULT_LANG))
    lang = languages.known(code) if isinstance(code, str) else None
    if lang is None:
        raise ValueError(f"'lang' is {code!r:.40}, not a language code")
    ratings = rated(row["annotators"], "annotators") if row.get("annotators") is not None else ()
    if ratings:
        label = math.fsum(ratings) / len(ratings)
        positive = label >= request.positive
    elif row.get("label") is not None:
        label = number(row["label"], "label")
        positive = label >= 0.5
    else:
        raise ValueError("neither 'label' nor 'annotators'")
    if not request.wants(lang):
        return None
    given = row.get("group")
    groups = {str(key): str(value) for key, value in given.items()} if isinstance(given, Mapping) else {}
    if given not in (None, "") and not isinstance(given, Mapping):
        groups = {"group": str(given)}
    cluster = row.get("cluster", row.get("index"))
    return LabelledText(
        text_of(row.get("text"), "text"), lang, label, positive, own if cluster is None else str(cluster), ratings,
        groups, scores(row, request.columns),
    )  # fmt: skip


SET = LabelSet(
    "file",
    "a file of yours",
    "as its rows say: 'label' from 0 to 1 (toxic from 0.5), or the mean of 'annotators'",
    "yours",
    "",
    "",
    read,
    notes="Columns: text; label or annotators; lang (en where it is left out); group, a text or an object of "
    "groupings; cluster, the unit of resampling.",
)
