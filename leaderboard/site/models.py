"""Family, size and licence of models: from ``leaderboard/published/models.json``, else from the name itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...core.parsing import parse_json

FILE = Path(__file__).parents[1] / "published" / "models.json"
UNKNOWN = "unknown"
SIZES = ((1e9, "below 1B"), (1e10, "1B to 10B"), (float("inf"), "above 10B"))
"""Upper bound of parameters -> what the filter calls it."""
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s?([bm])(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """Of a model.

    Args:
        family: models that were trained alike.
        parameters: number; None where it is not known.
        licence: SPDX name, or the model's own.
    """

    family: str
    parameters: float | None
    licence: str

    @property
    def size(self) -> str:
        """Which of ``SIZES``."""
        if self.parameters is None:
            return UNKNOWN
        return next(name for most, name in SIZES if self.parameters < most)

    @property
    def shown_parameters(self) -> str:
        if self.parameters is None:
            return UNKNOWN
        billions = self.parameters >= 1e9
        return f"{self.parameters / (1e9 if billions else 1e6):.3g} {'billion' if billions else 'million'}"


@cache
def _declared() -> Mapping[str, Mapping[str, str | float]]:
    return parse_json(FILE.read_text(encoding="utf-8"))


def facts(name: str) -> Facts:
    """What is known of a model; a name like ``owner/some-7b`` says its size and family itself.

    >>> facts("owner/some-7b"), facts("gpt2-large").family
    (Facts(family='some', parameters=7000000000.0, licence='unknown'), 'GPT-2')
    """
    known = _declared().get(name.lower(), {})
    last = name.rpartition("/")[2][:80]
    found = _SIZE.search(last)
    guessed = float(found[1]) * (1e9 if found[2].lower() == "b" else 1e6) if found else None
    parameters = known.get("parameters", guessed)
    return Facts(
        family=str(known.get("family") or re.split(r"[-_ ]", last)[0] or UNKNOWN),
        parameters=None if parameters is None else float(parameters),
        licence=str(known.get("licence") or UNKNOWN),
    )
