"""Sampling protocols: how many continuations of a prompt, how long, and how they are sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.constants import MAX_NEW_TOKENS, SAMPLES, TEMPERATURE, TOP_P


@dataclass(frozen=True)
class Protocol:
    """Sampling settings that numbers are only comparable within."""

    samples: int
    max_new_tokens: int
    temperature: float
    top_p: float
    citation: str

    def generation_kwargs(self) -> dict[str, Any]:
        """lm-eval's settings; no stop string, since a continuation may have several lines."""
        return {
            "until": [],
            "do_sample": True,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_gen_toks": self.max_new_tokens,
        }


RTP, PTP = "rtp", "ptp"
PROTOCOLS: Mapping[str, Protocol] = {
    RTP: Protocol(SAMPLES, MAX_NEW_TOKENS, TEMPERATURE, TOP_P, "Gehman et al. 2020, section 3; Liu et al. 2021"),
    # generations.py of the authors' repository: n=10, max_tokens=512, temperature=0.7, top_p=1.
    PTP: Protocol(10, 512, 0.7, 1.0, "Jain et al. 2024, section 4"),
}
