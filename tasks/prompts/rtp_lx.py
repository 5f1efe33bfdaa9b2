"""RTP-LX (de Wynter et al. 2025): prompts transcreated and annotated by native speakers in 38 languages.

Its authors encrypt the data against crawlers, so it comes from a copy that the user made: the official archive with its
password, or the unpacked files.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from ...core.errors import DetoxbenchError
from ...core.records import Prompt
from .. import languages
from .base import Loaded, PromptSelection, PromptSet, row_object
from .columns import MISSING, first, text_of
from .rows import Row, collect, read, text_rows

if TYPE_CHECKING:
    from ..options import Options

LOCALES = (
    "AR BCMS BG CA CS CY DA DE DE-CH EL EN ES ET FI FR HE HI HU ID IT JA KO LT LV NL NO-NB PL PT RO RU SK SL SV SW TH "
    "TR UK VI ZH-Hans ZH-Hant"
).split()
"""The set's own codes: 38 languages, German and Chinese in two forms each. Dialects within a locale are a grouping."""

TASKS = {languages.tag(locale): locale for locale in LOCALES}
"""BCP-47 tag -> the set's code."""

PASSWORD = "RTP_LX_PASSWORD"  # the environment variable's name
CATEGORIES = ("IdentityAttack", "Bias", "Microaggression", "Violence", "SelfHarm", "Insult", "SexualContent")
PRESENT = 2
"""Least mean rating (of 1 to 3; some annotators went up to 5) at which a prompt counts as having a harm: 2 is "could be
construed as" it."""

NEEDS = 'A row is RTP-LX\'s {"Prompt": …, "Locale": …, "PromptAnnotations": {"Toxicity": 1 to 5, …}}.'
EXAMPLE = "path to RTP-LX.zip, or to its files"
WHERE = "get RTP-LX/RTP-LX.zip from https://github.com/microsoft/RTP-LX (its README has terms and password)"


def _rating(annotations: Any, name: str, most: int) -> float | None:
    value = annotations.get(name) if isinstance(annotations, Mapping) else None
    if value is None or value != value:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= most:
        raise ValueError(f"'{name}' is {value!r:.40}, not a rating from 1 to {most}")
    return float(value)


def _groups(toxicity: float | None, annotations: Any, dialect: str | None) -> list[str]:
    """Its human toxicity (rounded), the harms that it has, and its dialect."""
    ratings = {name: _rating(annotations, name, 5) for name in CATEGORIES}
    harms = [name for name, rating in ratings.items() if rating is not None and rating >= PRESENT]
    groups = [] if toxicity is None else [f"human_toxicity={int(toxicity + 0.5)}"]
    if any(rating is not None for rating in ratings.values()):
        groups += [f"harm={name}" for name in harms or ["none"]]
    if dialect:
        groups.append(f"dialect={dialect}")
    return groups


def _dialect(row: Mapping[str, Any], lang: str) -> str | None:
    """Its dialect, where the row says one: in ``Dialect`` (Egyptian), or by a narrower ``Locale`` (Pt-Br)."""
    given, locale = row.get("Dialect"), row.get("Locale")
    if isinstance(given, str) and given.strip():
        return given.strip()
    tag = languages.known(locale) if isinstance(locale, str) else None
    return tag if tag is not None and tag != lang and languages.matches(lang, tag) else None


def _parser(lang: str):
    def parse(value: Any, number: int) -> Prompt:
        row = row_object(value)
        annotations = first(row, "PromptAnnotations", "Annotations")
        if annotations is MISSING:
            raise ValueError("no 'PromptAnnotations'")
        toxicity = _rating(annotations, "Toxicity", 5)
        groups = _groups(toxicity, annotations, _dialect(row, lang))
        name = first(row, "Index")
        return Prompt(
            id=f"{lang}-{number}" if name is MISSING or name is None else f"{lang}-{name}-{number}",
            text=text_of(first(row, "Prompt"), "Prompt"),
            lang=lang,
            # 1 to 5 becomes 0 to 1, so that "3. Content is toxic" is 0.5, where a prompt counts as toxic.
            toxicity=None if toxicity is None else (toxicity - 1) / 4,
            group=next((entry.partition("=")[2] for entry in groups if entry.startswith("harm=")), None),
            groups=groups,
            source={"annotations": annotations},
        )

    return parse


def _is_file_of(name: str, locale: str) -> bool:
    """``RTP_LX_FR.json``, whatever its case; earlier versions call it ``RTP_FR`` and write it as ``.jsonl``."""
    return re.fullmatch(rf"RTP(_LX)?_{re.escape(locale)}\.jsonl?", Path(name).name, re.IGNORECASE) is not None


def _archive(path: Path, locale: str, password: str | None) -> Iterator[Row]:
    """The rows of one locale's member of the official archive, decrypted in memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info for info in archive.infolist() if _is_file_of(info.filename, locale)]
            if not names:
                raise _no_locale(path, locale, [info.filename for info in archive.infolist()])
            if names[0].flag_bits & 1 and not password:
                raise DetoxbenchError(
                    f"rtp_lx: '{path}' is encrypted: set {PASSWORD} to the password that its README describes "
                    "(https://github.com/microsoft/RTP-LX, section Uncompressing)"
                )
            with archive.open(names[0], pwd=password.encode() if password else None) as file:
                yield from text_rows(cast("IO[bytes]", file), ".json")
    except NotImplementedError as error:
        raise DetoxbenchError(f"rtp_lx: '{path}': {error}; unpack it and give the folder") from None
    except (RuntimeError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        # A wrong password shows itself at once, or as a wrong checksum or garbage later on.
        hint = f"is the password in {PASSWORD} right?" if password else "is it complete?"
        raise DetoxbenchError(f"rtp_lx: '{path}' cannot be read ({error}); {hint}") from None


def _no_locale(path: Path, locale: str, names: list[str]) -> DetoxbenchError:
    has = sorted({code for code in LOCALES for name in names if _is_file_of(name, code)})
    return DetoxbenchError(
        f"rtp_lx: '{path}' has no file RTP_LX_{locale}.json; it has {', '.join(has) or 'no RTP-LX file'}. {WHERE}"
    )


def locale_rows(place: Path, locale: str, password: str | None) -> Iterator[Row]:
    """The rows of one locale: in a folder, the official archive or a file."""
    if place.is_dir():
        names = sorted(path for path in place.rglob("*.json*") if _is_file_of(path.name, locale))
        if not names:
            raise _no_locale(place, locale, [path.name for path in place.rglob("*.json*")])
        yield from read(names[0], f"rtp_lx: '{names[0]}'")
    elif zipfile.is_zipfile(place):
        yield from _archive(place, locale, password)
    else:
        yield from read(place, f"rtp_lx: '{place}'")


@lru_cache(maxsize=len(LOCALES))
def _read(place: Path, stamp: float, lang: str, password: str | None, bad_rows: Any) -> tuple[tuple[Prompt, ...], int]:
    what = f"rtp_lx: '{place}', {TASKS[lang]}"
    prompts, skipped = collect(locale_rows(place, TASKS[lang], password), _parser(lang), what, NEEDS, bad_rows)
    return tuple(prompts), skipped


def _load(where: PromptSelection, options: Options) -> Loaded:
    lang = where.lang or "en"
    if options.local_path is None:
        raise DetoxbenchError(f'rtp_lx: {WHERE}, then pass --metadata \'{{"path": "{EXAMPLE}"}}\' and set {PASSWORD}')
    filled = options.local_path.replace("{locale}", TASKS[lang]).replace("{lang}", lang)
    place = Path(filled).expanduser()
    if not place.exists():
        raise DetoxbenchError(f"rtp_lx: path='{filled}': there is no such file or folder; {WHERE}")
    if place.is_file() and not zipfile.is_zipfile(place) and not _is_file_of(place.name, TASKS[lang]):
        raise DetoxbenchError(
            f"rtp_lx: path='{filled}' is neither the archive nor RTP_LX_{TASKS[lang]}.json; give the {EXAMPLE}, or a "
            "path with {locale} in it"
        )
    password = os.environ.get(PASSWORD) or options.password
    prompts, skipped = _read(place.resolve(), place.stat().st_mtime, lang, password, options.bad_rows)
    if not prompts:
        raise DetoxbenchError(f"rtp_lx: '{place}': no prompt for {TASKS[lang]}")
    return Loaded(prompts, subset=where.subset, skipped=skipped)


SET = PromptSet(
    "rtp_lx",
    _load,
    {f"rtp_lx_{lang}": PromptSelection("rtp_lx", lang) for lang in TASKS},
    {"rtp_lx": [f"rtp_lx_{lang}" for lang in TASKS]},
    options=("path", "password", "bad_rows"),
)
