"""What ``detoxbench fit scorer`` writes beside a classifier's weights: languages, calibration, validity, sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DetoxbenchError
from ..parsing import parse_json

KIND = "detoxbench.scorer.classifier"
SCHEMA = 1
CARD = "card.json"
OTHERS = "*"
"""Of the calibration: what a language gets that it was not calibrated in."""
_EDGE = 1e-12
"""Least distance of a probability from 0 and 1 whose logit is taken."""


@dataclass(frozen=True)
class Fitted:
    """A classifier's card.

    Args:
        card: as it is in the file.
    """

    card: Mapping[str, Any]

    @property
    def languages(self) -> frozenset[str]:
        """Primary subtags that it was fitted on."""
        return frozenset(self.card["languages"])

    def calibrated(self, probabilities: np.ndarray, lang: str) -> np.ndarray:
        """``sigmoid(slope * logit(p) + offset)`` (Platt 1999), each language with its own offset.

        Args:
            probabilities: float64 ``[texts]``, of the head's sigmoid; NaN stays NaN.
            lang: BCP-47 tag.
        """
        scales = self.card["calibration"]
        slope, offset = scales.get(lang.split("-")[0].lower(), scales[OTHERS])
        inner = np.clip(probabilities, _EDGE, 1 - _EDGE)
        return 1 / (1 + np.exp(-(slope * np.log(inner / (1 - inner)) + offset)))


def read(folder: Path) -> Fitted | None:
    """The card in a classifier's folder; None where it is somebody else's model.

    Raises:
        DetoxbenchError: for a card of ours that cannot be used.
    """
    path = folder / CARD
    try:
        card = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(card, dict) or card.get("kind") != KIND:
        return None
    if card.get("schema_version") != SCHEMA:
        raise DetoxbenchError(f"'{path}' has another schema than this version reads ({SCHEMA}): fit again")
    scales, languages = card.get("calibration"), card.get("languages")
    if not isinstance(languages, list) or not _are_scales(scales):
        raise DetoxbenchError(f"'{path}' has no calibration: copy the folder again or fit again")
    return Fitted(card)


def _are_scales(scales: object) -> bool:
    return isinstance(scales, dict) and OTHERS in scales and all(map(_is_scale, scales.values()))


def _is_scale(scale: object) -> bool:
    """Whether it is a slope above 0 and an offset."""
    if not isinstance(scale, list) or len(scale) != 2 or not all(isinstance(one, (int, float)) for one in scale):
        return False
    return bool(np.isfinite(scale).all()) and scale[0] > 0
