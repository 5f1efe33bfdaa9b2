"""Which sentences train what. A template's expansions always stay together, so that held-out means unseen wording."""

from __future__ import annotations

import random

from .corpus import Sentence

SHARES = {"judge": 0.60, "reward": 0.25, "heldout": 0.15}


def split_of(sentence: Sentence) -> str:
    """``judge``, ``reward`` or ``heldout``, by a hash of the template."""
    draw = random.Random(f"split\0{sentence.lang}\0{sentence.toxic}\0{sentence.template}").random()
    for name, share in SHARES.items():
        draw -= share
        if draw < 0:
            return name
    return "heldout"
