"""What is known of a scorer in a language, for whoever is about to use its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Known:
    """A scorer's AUC against people's labels in one language, on texts that it was not fitted on.

    Args:
        scorer: its name.
        lang: primary subtag.
        labels: the label set; of several the one on which it does worst.
        texts: labelled texts.
        auc, low, high: estimate and 95% interval.
    """

    scorer: str
    lang: str
    labels: str
    texts: int
    auc: float
    low: float
    high: float

    @property
    def better_than_chance(self) -> bool:
        """Whether the interval lies above 0.5."""
        return self.low > 0.5

    def __str__(self) -> str:
        chance = "" if self.better_than_chance else ", no better than chance"
        auc = f"AUC {self.auc:.2f} [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.scorer}: {auc} in {self.lang} ({self.labels}){chance}"


def known(scorer: Any, lang: str) -> Known | None:
    """What the scorer's card says of its validity in that language; None where it was not measured.

    A card's ``validity`` is language -> label set -> ``{"texts": …, "figures": {"auc": {"value", "low", "high"}, …}}``.

    Args:
        scorer: any scorer, an archive in front of it or not; most have no card.
        lang: BCP-47 tag.
    """
    validity = getattr(scorer, "validity", None)
    primary = lang.split("-")[0].lower()
    if not isinstance(validity, Mapping):
        return None
    found = []
    for labels, one in (validity.get(primary) or {}).items():
        auc = one.get("figures", {}).get("auc", {})
        if None not in (auc.get("value"), auc.get("low"), auc.get("high")):
            found.append(Known(scorer.name, primary, labels, one["texts"], auc["value"], auc["low"], auc["high"]))
    return min(found, key=lambda one: one.auc, default=None)


def sentence(scorer: Any, langs: list[str]) -> str:
    """One line on a scorer's validity in some languages; says so where it was not measured."""
    found = {lang: known(scorer, lang) for lang in langs}
    measured = [one for one in found.values() if one is not None]
    without = [lang for lang, one in found.items() if one is None]
    parts = [f"not validated in {', '.join(without)}"] if without else []
    if len(measured) == 1:
        parts.insert(0, str(measured[0]).partition(": ")[2])
    elif measured:
        low, high = min(measured, key=lambda one: one.auc), max(measured, key=lambda one: one.auc)
        on = ", ".join(dict.fromkeys(one.labels for one in measured))
        span = f"{low.auc:.2f} ({low.lang}) to {high.auc:.2f} ({high.lang})"
        parts.insert(0, f"AUC {span} against people's labels ({on})")
        chance = [one.lang for one in measured if not one.better_than_chance]
        if chance:
            parts.append(f"no better than chance in {', '.join(chance)}")
    return f"{scorer.name}: {'; '.join(parts)}"
