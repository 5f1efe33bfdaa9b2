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
OWN_TEXTS = "neutral sentences that name groups of people, written for this project"
Sets = Sequence[tuple[Mapping[str, Any], Sequence[LabelledText]]]


def validity(scorer: Any, sets: Sets, checks: Sets, say: Callable[[str], object]) -> dict[str, Any]:
    """``validity`` and ``checks``, language -> label set -> figures; ``macro``, label set -> figures; ``identities``,
    label set -> group -> language -> rate of false positives.

    Args:
        scorer: the fitted scorer.
        sets: what it was fitted on, of which the test part is taken.
        checks: what it was not fitted on, taken whole.
        say: called with a line a set.
    """
    found: dict[str, Any] = {"validity": {}, "checks": {}, MACRO: {}, "identities": {}}
    for card, texts, whole in [(*one, False) for one in sets] + [(*one, True) for one in checks]:
        chosen = [one for one in texts if (whole or part_of(one.cluster) == "test") and supports(scorer, one.lang)]
        if not chosen:
            continue
        name = card["name"]
        measured = measure(chosen, [validation.scored(scorer, chosen)])
        entry = measured["scorers"][0]
        for lang, one in entry["languages"].items():
            # A check may ask for something else than toxicity, as HateCheck does: what is known of a scorer in a
            # language comes from the sets that it was fitted for.
            kept = found["checks" if whole else "validity"]
            kept.setdefault(lang.split("-")[0].lower(), {})[name] = {
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


def readme(card: Mapping[str, Any]) -> str:
    """The card for people, in Markdown: what it is, what from, and what it is worth."""
    lines = [
        *_what(card),
        "",
        "## Sources",
        "",
        *(
            f"- **{one['title']}** ({one['licence']}): {one['measures']}. {one['citation']} {one['homepage']}".rstrip()
            for one in card["sources"]
        ),
        *([f"- {card['own_texts'].capitalize()}."] if card["own_texts"] else []),
        "",
        f"Texts: {', '.join(f'{number:,} {part}' for part, number in card['texts'].items())}, split by cluster "
        "(a text with its translations).",
        "",
        "## Validity",
        "",
        "On clusters that it was not fitted on; 95% intervals over clusters.",
        "",
        "| language | labels | texts | toxic | AUC | F1 | kappa | calibration error |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for lang, by_set in [*sorted(card["validity"].items()), *sorted(card["checks"].items())]:
        for name, one in by_set.items():
            figures = one["figures"]
            cells = (_cell(figures.get(figure)) for figure in ("auc", "f1", "kappa", "expected_calibration_error"))
            lines.append(
                f"| {lang} | {name} ({one['part']}) | {one['texts']:,} | {one['toxic']:,} | {' | '.join(cells)} |"
            )
    lines += [
        f"| mean | {name} | | | {_cell(figures.get('auc'))} | {_cell(figures.get('f1'))} | "
        f"{_cell(figures.get('kappa'))} | {_cell(figures.get('expected_calibration_error'))} |"
        for name, figures in card[MACRO].items()
    ]
    for name, groups in card["identities"].items():
        langs = sorted({lang for by_lang in groups.values() for lang in by_lang})
        lines += [
            "", f"## Names of groups ({name})", "",
            "Share of neutral and positive sentences about a group that it calls toxic (a score of at least 0.5):",
            "all are false positives.",
            "", f"| group | {' | '.join(langs)} |", "| --- |" + " --- |" * len(langs),
        ]  # fmt: skip
        for group, by_lang in groups.items():
            lines.append(f"| {group} | {' | '.join(_plain(by_lang.get(lang)) for lang in langs)} |")
    return "\n".join(lines) + "\n"


def _what(card: Mapping[str, Any]) -> list[str]:
    if "base" not in card:
        return [
            "# An n-gram scorer",
            "",
            f"Logistic regression on hashed n-grams; a score is the {card['measures']}.",
            "Written by `detoxbench fit scorer`. The weights are of hashes, and hold no text. It knows words and",
            "spellings, not what is meant: irony, quotation and counter-speech are beyond it.",
        ]
    base = card["base"]
    revision = f" at {base['revision']}" if base.get("revision") else ""
    return [
        "# A fine-tuned scorer",
        "",
        f"{base['name']}{revision} with a classification head; a score is the {card['measures']}.",
        "Written by `detoxbench fit scorer`; used as `hf:FOLDER`. The base model's licence applies beside those of the",
        "sources. `card.json` holds the calibration, which `hf:` applies and a plain `transformers` pipeline does not.",
    ]


def _cell(figure: Mapping[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    return _plain(figure) + ("" if figure["low"] is None else f" [{figure['low']:.2f}, {figure['high']:.2f}]")


def _plain(figure: Mapping[str, float | None] | None) -> str:
    return "" if figure is None or figure["value"] is None else f"{figure['value']:.2f}"
