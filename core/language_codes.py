"""BCP-47 tags as the codes of translation models: NLLB's ``fra_Latn``, M2M-100's ``fr``, mBART-50's ``fr_XX``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

import langcodes
from langcodes.tag_parser import LanguageTagError, parse_tag

from .errors import DetoxbenchError

FLORES = {
    "ara": "arb", "aym": "ayr", "aze": "azj", "est": "est", "fas": "pes", "ful": "fuv", "hbs": "hrv",
    "kau": "knc", "kur": "kmr", "lav": "lvs", "mlg": "plt", "mon": "khk", "msa": "zsm", "nep": "npi", "nor": "nob",
    "ori": "ory", "orm": "gaz", "pus": "pbt", "que": "quy", "sqi": "als", "swa": "swh", "uzb": "uzn", "yid": "ydd",
    "fil": "tgl",
}  # fmt: skip
"""Macrolanguages (ISO 639-3) -> the member that FLORES-200, and with it NLLB, means by them."""
SCRIPTS = {"hbs": "Latn", "hrv": "Latn", "kor": "Hang"}
"""Where the likely script of the tag is not the one of the member."""


LONGEST_TAG = 35
"""Characters: what RFC 5646 (section 4.4.1) asks every program to take."""


def is_tag(text: str) -> bool:
    """Whether a text is a well-formed BCP-47 tag, or one with underscores as NLLB writes it, of whatever language.

    >>> [is_tag(text) for text in ("en", "zh-Hans", "fra_Latn", "hi-Latn", "", "x/../../y", "en\\x00", "english text")]
    [True, True, True, True, False, False, False, False]
    """
    if not text.isascii() or len(text) > LONGEST_TAG:
        return False
    try:
        parse_tag(text)
    except LanguageTagError:
        return False
    return re.fullmatch(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*", text) is not None


def flores(tag: str) -> str:
    """The code of FLORES-200: ISO 639-3 and script.

    >>> [flores(tag) for tag in ("en", "fr", "zh", "zh-TW", "ar", "fa", "pt-BR", "fra_Latn")]
    ['eng_Latn', 'fra_Latn', 'zho_Hans', 'zho_Hant', 'arb_Arab', 'pes_Arab', 'por_Latn', 'fra_Latn']

    Raises:
        DetoxbenchError: for what is no language tag.
    """
    try:
        found = langcodes.Language.get(tag.replace("_", "-"))
        if not found.is_valid() or not found.language:
            raise LookupError(tag)
        code = found.to_alpha3()
        script = SCRIPTS.get(code) or found.maximize().script
    except (LookupError, LanguageTagError):
        raise DetoxbenchError(f"'{tag}' is no language tag; give BCP-47 ('pt', 'zh-Hant') or NLLB's code") from None
    return f"{FLORES.get(code, code)}_{script}"


def model_code(tag: str, known: Callable[[str], bool], offered: list[str]) -> str:
    """The code under which a model knows a language.

    Args:
        tag: BCP-47, or the model's own code.
        known: whether the model has a code.
        offered: codes that it has, for the message.

    Raises:
        DetoxbenchError: naming near ones, where it has none.
    """
    if known(tag):
        return tag
    full = flores(tag)
    short = langcodes.Language.get(tag).language or tag
    candidates = [full, tag, short, f"__{short}__"]
    candidates += [code for code in offered if code.split("_")[0] == short and len(code) == len(short) + 3]
    member = full.split("_")[0]
    only = [code for code in offered if code.split("_")[0] == member and len(code) == len(full)]
    if len(only) == 1:  # the script of a dialect is often not the likely one
        candidates.append(only[0])
    for code in candidates:
        if known(code):
            return code
    near = difflib.get_close_matches(full, offered, n=3, cutoff=0.4)
    raise DetoxbenchError(f"the model has no language '{tag}' ({full}); near it: {', '.join(near) or 'nothing'}")
