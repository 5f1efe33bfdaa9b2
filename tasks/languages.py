"""Language codes of prompt sets as BCP-47 tags: ISO 639-1 and 639-3, FLORES' ``por_Latn``, sets' own codes."""

from __future__ import annotations

from functools import lru_cache

import langcodes
from langcodes.tag_parser import LanguageTagError

from ..core.errors import DetoxbenchError

OWN = {
    "bcms": "sh",
    "sh": "sh",
    "hbs": "sh",
    "no-nb": "nb",
    "nb-no": "nb",
    "arb": "ar",
    "cmn": "zh",
    "swh": "sw",
    "ekk": "et",
    "lvs": "lv",
    "tl": "tl",
    "zsm": "ms",
    "jp": "ja",
    "cz": "cs",
}
"""Codes that the registry does not know, or would turn into another tag than the prompt sets mean by them."""


@lru_cache(maxsize=1024)
def tag(code: str) -> str:
    """The BCP-47 tag of a language code, in its canonical form.

    >>> [tag(code) for code in ("por", "fra_Latn", "ZH-Hans", "NO-NB", "BCMS", "pt-BR")]
    ['pt', 'fr', 'zh-Hans', 'nb', 'sh', 'pt-BR']

    Raises:
        DetoxbenchError: for what is no language code.
    """
    plain = code.strip().replace("_", "-")
    if own := OWN.get(plain.lower()):
        return own
    primary, dash, rest = plain.partition("-")
    try:
        found = langcodes.standardize_tag(OWN.get(primary.lower(), primary) + dash + rest)
        if langcodes.tag_is_valid(found) and found != "und":
            return found
    except LanguageTagError:
        pass
    raise DetoxbenchError(f"'{code}' is no language code; give a BCP-47 tag such as 'pt' or 'zh-Hans', or ISO 639-3")


def known(code: str) -> str | None:
    """The tag, or None for what is no language code."""
    try:
        return tag(code)
    except DetoxbenchError:
        return None


def matches(wanted: str, given: str) -> bool:
    """Whether prompts tagged ``given`` belong to a task in ``wanted``: the same tag, or a narrower one (``pt-BR`` for
    ``pt``)."""
    return given == wanted or given.startswith(f"{wanted}-")
