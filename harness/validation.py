"""Scorers' numbers for labelled texts, and published ones, as the columns that ``core.validity.measure`` takes."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.data_overlap import trained_on
from ..core.errors import DetoxbenchError
from ..core.scorers.progress import score_all
from ..core.validity.labelled import LabelledText
from ..core.validity.measure import Column

_COLUMN = re.compile(r"(?P<name>[^=]+)=(?P<field>[^:=]+)(:(?P<low>-?[\d.]+)-(?P<high>-?[\d.]+))?")

OFF_SCALE = 0.01
"""Share of a published column's numbers that may lie off its scale, and are unscored; with more, the scale is wrong."""


@dataclass(frozen=True)
class Published:
    """A column of the label set that holds a published scorer's output.

    Args:
        name: what tables call it.
        field: of the rows.
        low, high: ends of its scale, which become 0 and 1.
    """

    name: str
    field: str
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def parse(cls, given: str) -> Published:
        """``NAME=FIELD`` or ``NAME=FIELD:LOW-HIGH``.

        Raises:
            DetoxbenchError: for anything else.
        """
        match = _COLUMN.fullmatch(given.strip())
        try:
            if match is None:
                raise ValueError
            ends = (0.0, 1.0) if match["low"] is None else (float(match["low"]), float(match["high"]))
            if ends[0] >= ends[1]:
                raise ValueError
        except ValueError:
            raise DetoxbenchError(
                f"--column '{given}': give NAME=FIELD for scores from 0 to 1, NAME=FIELD:LOW-HIGH for another scale, "
                "such as gpt4=gpt4:1-5"
            ) from None
        return cls(match["name"].strip(), match["field"].strip(), *ends)

    def column(self, texts: Sequence[LabelledText]) -> Column:
        """Its scores from 0 to 1.

        Raises:
            DetoxbenchError: where no text has any, or more than ``OFF_SCALE`` of them are off the scale.
        """
        values = np.array([one.columns.get(self.field, np.nan) for one in texts], dtype=float)
        has = np.isfinite(values)
        if not has.any():
            raise DetoxbenchError(f"--column {self.name}={self.field}: no text has a number in '{self.field}'")
        off = has & ((values < self.low) | (values > self.high))
        if off.sum() > OFF_SCALE * has.sum():
            raise DetoxbenchError(
                f"--column {self.name}={self.field}: values from {values[has].min():g} to {values[has].max():g} "
                f"are not on the scale {self.low:g} to {self.high:g}: give {self.name}={self.field}:LOW-HIGH"
            )
        values[off] = np.nan
        about = {"published": self.field, "scale": [self.low, self.high], "reasons": {}}
        for reason, number in (("off the scale", int(off.sum())), ("no number", int((~has).sum()))):
            if number:
                about["reasons"][reason] = number
        return Column(self.name, "published", (values - self.low) / (self.high - self.low), about=about)


def scored(scorer: Any, texts: Sequence[LabelledText], on_scored: Callable[[int], object] = lambda _: None) -> Column:
    """A scorer's first attribute for all texts, and how long it took.

    The time leaves the loading of a local scorer out, and is not given where an archive may have answered.
    """
    values = np.full(len(texts), np.nan)
    reasons: Counter[str] = Counter()
    archived = getattr(scorer, "archive", None) is not None
    langs = np.array([one.lang for one in texts])
    seconds = 0.0
    for number, lang in enumerate(sorted(set(langs.tolist()))):
        places = np.flatnonzero(langs == lang)
        if number == 0 and not archived:
            scorer.score([texts[places[0]].text], lang)
        start = time.perf_counter()
        found = score_all(scorer, [texts[place].text for place in places], lang, on_scored)
        seconds += time.perf_counter() - start
        values[places] = found.values[scorer.attributes[0]]
        reasons.update(reason for reason in found.reasons if reason is not None)
    about = {
        "attribute": scorer.attributes[0],
        "reasons": dict(reasons.most_common()),
        "licence": str(scorer.card.get("licence") or ""),
        "trained_on": trained_on(scorer.name, scorer.card),
    }
    return Column(scorer.name, scorer.version, values, None if archived else seconds, about)
