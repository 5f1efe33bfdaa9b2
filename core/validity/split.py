"""Who learns from which labelled text: four parts that never share a text or its translation.

The part follows from a hash of the text's *cluster*: the name that a text shares with its translations and paraphrases
(RTP-LX's ``Index``), with the data set's name before it. Scorers, methods and the prompts of a study that are fitted
on different parts have seen nothing of one another's texts, in any language.
"""

from __future__ import annotations

import hashlib

from ..errors import unknown

SHARES = {"train": 0.6, "dev": 0.1, "calibration": 0.1, "test": 0.2}
"""``train`` to fit on, ``dev`` to choose settings by, ``calibration`` to turn margins into probabilities, ``test`` for
the figures that are reported; the order decides which hashes a part has, so a new part comes out of an old one."""

VERSION = 1
"""Of the rule; a change moves texts from one part to another, so it is written beside every figure."""


def part_of(cluster: str) -> str:
    """``train``, ``dev``, ``calibration`` or ``test``.

    Args:
        cluster: data set and name of the text in it, such as ``rtp_lx/17``.

    >>> part_of("rtp_lx/0"), part_of("rtp_lx/5")
    ('train', 'calibration')
    """
    draw = int.from_bytes(hashlib.sha256(f"detoxbench.split.{VERSION}\0{cluster}".encode()).digest()[:8], "big") / 2**64
    upto = 0.0
    for name, share in SHARES.items():
        upto += share
        if draw < upto:
            return name
    return name


def check(part: str) -> str:
    """The part itself.

    Raises:
        DetoxbenchError: for another name.
    """
    if part not in SHARES:
        raise unknown("part", part, SHARES)
    return part
