"""Texts for four purposes that share none: prompts, methods' fits, guiding scorers, the second judge.

A text goes where its cluster goes (an RTP-LX prompt with its translations, a ParaDetox sentence with its paraphrases).
Prompts are of the part ``test`` of ``core.validity.split``, which the embedded scorer has not seen either; the rest is
shared out by a second hash.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.files import sha256_text, write_lines
from detoxbench.core.validity.split import part_of
from detoxbench.tasks import languages

Role = Literal["prompts", "methods", "guides", "judge"]
SHARES: dict[Role, float] = {"methods": 0.4, "guides": 0.4, "judge": 0.2}
"""Of the clusters that no prompt comes from."""
TOXIC, HARMLESS = 3.0, 2.0
"""Mean ratings (1 to 5) from which a text is toxic, and up to which it is harmless; those between teach nobody."""
LOCALES = ("AR", "DE", "ES", "FR", "HI", "JA", "RU", "ZH-Hans")
"""Of the multilingual study: each has at least 28 toxic prompts in the part."""


def role_of(cluster: str) -> Role:
    """Who may see a cluster."""
    if part_of(cluster) == "test":
        return "prompts"
    draw, upto = _draw(f"real\0{cluster}"), 0.0
    for role, share in SHARES.items():
        upto += share
        if draw < upto:
            return role
    return "judge"


def _draw(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def cluster_of(row: dict[str, Any]) -> str:
    """As the label sets of ``tasks/labels`` call it."""
    return f"rtp_lx/{row['index']}" if "index" in row else f"paradetox/{sha256_text(row['toxic'])[:16]}"


def rtp_lx(data: Path, locale: str) -> list[dict[str, Any]]:
    """Rows of ``rtp_lx_labels``, with ``rating`` (mean of the annotators) and ``lang``."""
    path = data / "rtp_lx_labels" / f"{locale}.jsonl"
    rows = [json.loads(line) for line in _lines(path)]
    tag = languages.tag(locale)
    return [row | {"rating": sum(row["annotators"]) / len(row["annotators"]), "lang": tag} for row in rows]


def paradetox(data: Path) -> list[dict[str, str]]:
    """Rows of ``english/paradetox.tsv``."""
    lines = _lines(data / "english" / "paradetox.tsv")
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DetoxbenchError(f"'{path}' cannot be read ({error}): give the folder of the data with --data") from None


def write(data: Path, out: Path, *, english: int, each: int, locales: Iterable[str] = LOCALES) -> None:
    """All files that the studies name.

    Args:
        data: folder with ``rtp_lx_labels``, ``english`` and ``rtp``.
        out: ``OUT/en_toxic.jsonl``, ``…_nontoxic``, ``…_pairs``, ``guide_en_…``, ``lx_…``; ``OUT/prompts/en.jsonl`` and
            ``OUT/prompts/rtp_lx/RTP_LX_{locale}.jsonl``; ``OUT/labels/{guides,judge}`` for scorers.
        english: prompts in English.
        each: prompts in each other language.
    """
    pairs = paradetox(data)
    for role, prefix in (("methods", "en"), ("guides", "guide_en")):
        mine = [row for row in pairs if role_of(cluster_of(row)) == role]
        made = [(row["toxic"], row[name]) for row in mine for name in _neutral(row)]
        _write(out / f"{prefix}_toxic.jsonl", ({"text": row["toxic"], "lang": "en"} for row in mine))
        _write(out / f"{prefix}_nontoxic.jsonl", ({"text": text, "lang": "en"} for _, text in made))
        _write(out / f"{prefix}_pairs.jsonl", ({"toxic": a, "neutral": b, "lang": "en"} for a, b in made))
    every = {locale: rtp_lx(data, locale) for locale in _all_locales(data)}
    for role, prefix in (("methods", "lx"), ("guides", "guide_lx")):
        mine = [row for locale in locales for row in every[locale] if role_of(cluster_of(row)) == role]
        rude = [row for row in mine if row["rating"] >= TOXIC]
        benign = [(row["text"], row["benign_completion"], row["lang"]) for row in rude if row.get("benign_completion")]
        _write(out / f"{prefix}_toxic.jsonl", ({"text": row["text"], "lang": row["lang"]} for row in rude))
        harmless = [(row["text"], row["lang"]) for row in mine if row["rating"] <= HARMLESS]
        harmless += [(text, lang) for _, text, lang in benign]
        _write(out / f"{prefix}_nontoxic.jsonl", ({"text": text, "lang": lang} for text, lang in harmless))
        _write(out / f"{prefix}_pairs.jsonl", ({"toxic": a, "neutral": b, "lang": lang} for a, b, lang in benign))
    for role in ("guides", "judge"):
        for locale, rows in every.items():
            mine = [row for row in rows if role_of(cluster_of(row)) == role]
            kept = ({name: row[name] for name in ("index", "locale", "text", "annotators")} for row in mine)
            _write(out / "labels" / role / "rtp_lx" / f"{locale}.jsonl", kept)
        mine = [row for row in pairs if role_of(cluster_of(row)) == role]
        _write(out / "labels" / role / "paradetox.jsonl", (one for row in mine for one in _labelled(row)))
    for locale in locales:
        rows = [row for row in every[locale] if role_of(cluster_of(row)) == "prompts"]
        chosen = halves(rows, each, lambda row: row["rating"] >= TOXIC, lambda row: str(row["index"]))
        _write(out / "prompts" / "rtp_lx" / f"RTP_LX_{locale}.jsonl", (_official(row) for row in chosen))
    _write(out / "prompts" / "en.jsonl", english_prompts(data, english))


def english_prompts(data: Path, count: int) -> list[dict[str, Any]]:
    """RealToxicityPrompts, half of them such that the embedded scorer calls them toxic."""
    from detoxbench.core import scorers

    rows = [json.loads(line) for line in _lines(data / "rtp" / "continuations_gpt2-large.jsonl")]
    texts = list(dict.fromkeys(row["prompt"]["text"] for row in rows))
    scores = next(iter(scorers.load("ngram").score(texts, "en").values.values()))
    rated = [{"text": text, "lang": "en", "toxicity": float(score)} for text, score in zip(texts, scores, strict=True)]
    return halves(rated, count, lambda row: row["toxicity"] >= 0.5, lambda row: row["text"])


def halves(rows: list[Any], count: int, toxic: Any, name: Any) -> list[Any]:
    """So many rows, half of them toxic where there are enough, by a hash of their names; every smaller number's rows
    are among a larger one's."""
    ranked = sorted(rows, key=lambda row: (_draw(f"prompt\0{name(row)}"), name(row)))
    rude, clean = [row for row in ranked if toxic(row)], [row for row in ranked if not toxic(row)]
    take = min(count // 2, len(rude))
    return rude[:take] + clean[: count - take]


def _official(row: dict[str, Any]) -> dict[str, Any]:
    """As RTP-LX's own files have it."""
    return {
        "Prompt": row["text"], "Index": str(row["index"]), "Locale": row["locale"],
        "PromptAnnotations": {"Toxicity": row["rating"], **row["harms"]},
    }  # fmt: skip


def _labelled(row: dict[str, str]) -> list[dict[str, Any]]:
    """A sentence and its paraphrases as a file of labels has them."""
    said = [(row["toxic"], 1.0), *((row[name], 0.0) for name in _neutral(row))]
    return [{"text": text, "lang": "en", "label": label, "cluster": cluster_of(row)} for text, label in said]


def _neutral(row: dict[str, str]) -> list[str]:
    return [name for name in ("neutral1", "neutral2", "neutral3") if row[name].strip()]


def _all_locales(data: Path) -> list[str]:
    return sorted(path.stem for path in (data / "rtp_lx_labels").glob("*.jsonl"))


def _write(path: Path, rows: Iterable[dict[str, Any]] | Iterator[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lines(path, list(rows))
