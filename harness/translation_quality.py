"""BLEU and chrF++ of a translation against a reference (sacrebleu; Post 2018, Popović 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import DetoxbenchError, missing_extra

TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}
"""Of BLEU, for languages that 13a does not cut into words; ``char`` needs no dictionary."""


def quality(translations: Sequence[str], references: Sequence[str], lang: str) -> dict[str, Any]:
    """Corpus scores.

    Args:
        translations: texts.
        references: one each.
        lang: BCP-47 tag of the target.

    Returns:
        ``bleu`` and ``chrf++`` in [0, 100], each with sacrebleu's ``signature``, and ``texts``.

    Raises:
        DetoxbenchError: where the numbers of texts differ, or there is none.
    """
    bleu, chrf = _sacrebleu()
    if len(translations) != len(references):
        raise DetoxbenchError(f"--reference: {len(references):,} texts for {len(translations):,} translations")
    if not translations:
        raise DetoxbenchError("--reference: no text to compare")
    found: dict[str, Any] = {"texts": len(translations)}
    metrics = {"bleu": bleu(tokenize=TOKENIZERS.get(lang.split("-")[0], "13a")), "chrf++": chrf(word_order=2)}
    for name, metric in metrics.items():
        score = metric.corpus_score(list(translations), [list(references)])
        found[name] = {"score": float(score.score), "signature": str(metric.get_signature())}
    return found


def paired(
    rows: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]], column: str, reference_column: str
) -> tuple[list[str], list[str]]:
    """Translations and references of the same text: by ``id`` where every row has one of its own, else by line.

    Raises:
        DetoxbenchError: where a reference is missing.
    """
    by_id = {row["id"]: row for row in references if isinstance(row.get("id"), str | int)}
    ids = [row.get("id") for row in rows]
    if len(by_id) == len(references) and all(isinstance(one, str | int) for one in ids) and len(set(ids)) == len(ids):
        missing = [one for one in ids if one not in by_id]
        if missing:
            raise DetoxbenchError(f"--reference: no row with id {missing[0]!r}; {len(missing):,} are missing")
        return [row[column] for row in rows], [by_id[one][reference_column] for one in ids]
    if len(rows) != len(references):
        raise DetoxbenchError(
            f"--reference: {len(references):,} rows for {len(rows):,} texts, and no id to match them by"
        )
    return [row[column] for row in rows], [row[reference_column] for row in references]


def _sacrebleu() -> tuple[Any, Any]:
    """sacrebleu's classes, which are an extra."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise missing_extra("sacrebleu", "translate", "--reference") from None
    return BLEU, CHRF
