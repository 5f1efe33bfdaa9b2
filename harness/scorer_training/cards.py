"""What a fitted scorer's card says of its validity: measured on clusters that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core.scorers.base import supports
from ...core.validity.labelled import LabelledText
from ...core.validity.measure import MACRO, measure
from ...core.validity.split import part_of
from .. import validation

FIGURES = ("auc", "average_precision", "spearman", "f1", "kappa", "quadratic_weighted_kappa",
           "expected_calibration_error")  # fmt: skip
"""Of each language; ``detoxbench validate`` gives all of them."""
GROUPING = "identity"
"""Whose false positives the card has: neutral and positive sentences that name a group."""
DIGITS = 4
Sets = Sequence[tuple[Mapping[str, Any], Sequence[LabelledText]]]


def validity(scorer: Any, sets: Sets, checks: Sets, say: Callable[[str], object]) -> dict[str, Any]:
    """``validity``, language -> label set -> figures; ``macro``, label set -> figures; ``identities``, label set ->
    group -> language -> rate of false positives.

    Args:
        scorer: the fitted scorer.
        sets: what it was fitted on, of which the test part is taken.
        checks: what it was not fitted on, taken whole.
        say: called with a line a set.
    """
    found: dict[str, Any] = {"validity": {}, MACRO: {}, "identities": {}}
    for card, texts, whole in [(*one, False) for one in sets] + [(*one, True) for one in checks]:
        chosen = [one for one in texts if (whole or part_of(one.cluster) == "test") and supports(scorer, one.lang)]
        if not chosen:
            continue
        name = card["name"]
        measured = measure(chosen, [validation.scored(scorer, chosen)])
        entry = measured["scorers"][0]
        for lang, one in entry["languages"].items():
            found["validity"].setdefault(lang.split("-")[0].lower(), {})[name] = {
                "texts": one["texts"], "toxic": one["toxic"], "part": "all" if whole else "test",
                "better_than_chance": one["better_than_chance"], "figures": _rounded(one["figures"]),
            }  # fmt: skip
        found[MACRO][name] = _rounded(entry[MACRO]["figures"])
        if GROUPING in entry["groups"]:
            found["identities"][name] = {
                group: {lang: _round(one["false_positive_rate"]) for lang, one in by_lang.items()}
                for group, by_lang in entry["groups"][GROUPING].items()
            }
        auc = entry[MACRO]["figures"].get("auc", {}).get("value")
        say(f"{name}: mean AUC {auc:.3f} on {len(chosen):,} texts" if auc is not None else f"{name}: no AUC")
    return found


def _rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _round(figures[name]) for name in FIGURES if name in figures}


def _round(figure: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, DIGITS) for name, value in figure.items()}
