"""Prompt sets, one file each: ``load(options) -> list[Prompt]``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ...harness.constants import MINI
from ...harness.records import Prompt


def load(source: str, lang: str) -> list[Prompt]:
    """The prompts of one language.

    Args:
        source: ``mini``, or the path of a file.
        lang: BCP-47 tag.

    Raises:
        DetoxbenchError: if the file is missing or wrong, or has no prompt in this language.
    """
    if source == MINI:
        from .mini import load as load_mini

        return load_mini(lang)
    from .file import load as load_file

    return load_file(source, lang)


def sha256(prompts: Sequence[Prompt]) -> str:
    """Of the texts in order: what runs must share to be comparable."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(prompt.text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
