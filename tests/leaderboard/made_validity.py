"""Made-up reports of ``detoxbench validate``, by its own functions, of scorers with given names and versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detoxbench.core.validity import LabelledText
from detoxbench.core.validity.measure import Column, measure

CARD = {
    "name": "rtp_lx", "title": "RTP-LX: human annotations", "measures": "mean of three ratings", "licence": "MIT",
    "homepage": "https://example.org", "citation": "A paper", "notes": "", "revision": None, "part": None,
    "split_version": 1, "positive": 3.0, "sha256": "ab" * 8,
}  # fmt: skip


def report(
    scorers: Mapping[tuple[str, str], float],
    languages: Sequence[str] = ("en", "fr", "ja"),
    *,
    texts: int = 60,
    resamples: int = 60,
    groups: bool = False,
    **labels: Any,
) -> dict[str, Any]:
    """Name and version of a scorer -> how much better than guessing it is, from 0 to 1."""
    rng = np.random.default_rng(0)
    found = [
        LabelledText(
            f"text {place}", lang, 4.0 if place % 2 else 1.0, bool(place % 2), f"c{place}",
            (4.0, 5.0, 3.0) if place % 2 else (1.0, 1.0, 2.0 + place % 3),
            {"functionality": f"f{place % 4}", "identity": f"group {place % 3}"} if groups and not place % 2 else {},
        )
        for lang in languages for place in range(texts)
    ]  # fmt: skip
    truth = np.array([one.positive for one in found], dtype=float)
    columns = [
        Column(name, version, skill * truth + (1 - skill) * rng.random(len(truth)), 0.5, {"trained_on": ["rtp_lx"]})
        for (name, version), skill in scorers.items()
    ]
    return {
        "kind": "detoxbench.validity", "schema_version": 1, "labels": {**CARD, **labels}, "threshold": 0.5,
        "resamples": resamples, **measure(found, columns, resamples=resamples),
    }  # fmt: skip
