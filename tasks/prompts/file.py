"""Your own prompts: a JSONL, JSON, CSV, TSV or Parquet file, or a dataset on the hub.

Without named columns a row is ``{"text": …, "lang": …, "toxicity": …}`` or the published systems'
``{"prompt": {"text": …, "toxicity": …}}``.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.language_identification import identify
from ...core.prompt_names import SUFFIXES
from ...core.records import Prompt
from .. import languages
from .base import Loaded, PromptSelection, PromptSet, row_object
from .columns import MISSING, first, get, groups_of, require, text_of, toxicity_of
from .rows import Row, collect, read

if TYPE_CHECKING:
    from ..options import Options

logger = logging.getLogger(__name__)

NEEDS = "A row is a JSON object with 'text' (or 'prompt.text') and 'lang'."
UNKNOWN = "und"
SAY = '{"lang": "…"}'
IDENTIFIED_FROM = 200
"""Prompts that the language of a file without one is identified from."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def _parser(options: Options, lang: str | None) -> Callable[[Any, int], Prompt]:
    """Row and number -> prompt. ``lang`` is that of all rows, ``UNKNOWN`` to leave it open, None to read it."""

    def parse(value: Any, number: int) -> Prompt:
        row = row_object(value)
        if options.text:
            text = text_of(require(row, options.text), options.text)
        else:
            inner = get(row, "prompt")
            plain = inner if isinstance(inner, str) else first(row, "prompt.text", "text")
            text = text_of(plain, "text' or 'prompt.text")
        if options.toxicity:
            toxicity = toxicity_of(require(row, options.toxicity), options.toxicity)
        else:
            toxicity = toxicity_of(first(row, "prompt.toxicity", "toxicity"), "toxicity")
        groups = [entry for name in options.group for entry in groups_of(require(row, name), name)]
        name = first(row, "id")
        return Prompt(
            id=str(number if name is MISSING or name is None else name),
            text=text,
            lang=lang or _language(row, options.lang),
            toxicity=toxicity,
            group=groups[0].partition("=")[2] if groups else None,
            groups=groups,
        )

    return parse


def _language(row: Any, column: str | None) -> str:
    value = require(row, column) if column else first(row, "lang", "prompt.lang", "language")
    if not isinstance(value, str) or not value:
        raise ValueError(f"no language in '{column or 'lang'}'")
    found = languages.known(value)
    if found is None:
        raise ValueError(f"'{column or 'lang'}' is '{value}', no language code")
    return found


def _has(rows: Sequence[Row], *paths: str) -> bool:
    return any(first(row.value, *paths) is not MISSING for row in rows if row.error is None)


def _constant_language(head: Sequence[Row], options: Options, wanted: str | None) -> str | None:
    """The language of all rows: the option's where it names a language and no column; None if a column has it."""
    if options.lang is not None:
        if _has(head, options.lang):
            return None
        return languages.known(options.lang)
    if wanted is not None or _has(head, "lang", "prompt.lang", "language"):
        return None
    return UNKNOWN


@lru_cache(maxsize=4)
def _read(path: Path, stamp: float, options: Options, wanted: str | None) -> tuple[tuple[Prompt, ...], int]:
    """All prompts of a file; ``stamp`` makes a changed file be read again."""
    what = f"prompts='{path}'"
    return _prompts(lambda: read(path, what), what, options, wanted)


def _prompts(
    rows: Callable[[], Iterator[Row]], what: str, options: Options, wanted: str | None
) -> tuple[tuple[Prompt, ...], int]:
    constant = _constant_language(list(islice(rows(), 1000)), options, wanted)
    found, skipped = collect(rows(), _parser(options, constant), what, NEEDS, options.bad_rows)
    if constant == UNKNOWN and found:
        looked_at = (identify(prompt.text, least=0.0) for prompt in found[:IDENTIFIED_FROM])
        votes = Counter(lang for lang in looked_at if lang is not None)
        if not votes:
            raise DetoxbenchError(f"{what}: no language column, and no prompt has letters: say it, --metadata '{SAY}'")
        lang = votes.most_common(1)[0][0]
        logger.warning(
            f"{what}: no language column; {votes[lang]} of {votes.total()} prompts are identified as '{lang}', which "
            f"is taken for all. To say otherwise: --metadata '{SAY}', a column or a language code."
        )
        found = [prompt.model_copy(update={"lang": lang}) for prompt in found]
    if len(found) > 1 and len({prompt.text for prompt in found}) == 1:
        logger.warning(
            f"{what}: all {len(found)} prompts are the same text: intervals over them say nothing about other prompts"
        )
    return tuple(found), skipped


def _file(source: str, options: Options, wanted: str | None) -> tuple[tuple[Prompt, ...], int]:
    path = Path(source).expanduser()
    if not path.is_file():
        raise DetoxbenchError(
            f"prompts='{source}': there is no such file; give a file ({', '.join(SUFFIXES)}), or '{MINI}'"
        )
    return _read(path.resolve(), path.stat().st_mtime, options, wanted)


def load(source: str, lang: str, options: Options | None = None) -> list[Prompt]:
    """The file's prompts in one language.

    Raises:
        DetoxbenchError: if the file is missing, has wrong rows (their number and first lines), or none in ``lang``.
    """
    from ..options import Options

    chosen = (options or Options()).model_copy(update={"prompts": source})
    prompts, _ = _file(source, chosen, lang)
    found = [prompt for prompt in prompts if languages.matches(lang, prompt.lang)]
    if not found:
        langs = ", ".join(sorted({prompt.lang for prompt in prompts})) or "none"
        raise DetoxbenchError(
            f"prompts='{source}': no prompt in language '{lang}'; the file has {langs}: choose the tasks of these"
        )
    return found


def _hub(name: str, options: Options) -> tuple[tuple[Prompt, ...], int, str | None]:
    """Prompts of a dataset on the hub, through ``datasets``, which reads its cache where there is no network."""
    import datasets

    what = f"prompts='{name}'"
    try:
        data = datasets.load_dataset(
            name, options.config, split=options.split or "train", revision=options.prompts_revision
        )
    except Exception as error:  # whatever goes wrong on the way to a dataset, the user needs one line
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DetoxbenchError(
            f"{what}: there is no such file, and as a dataset on the hub it cannot be loaded ({line}); give a file, or "
            '--metadata \'{"prompts": "owner/name", "config": …, "split": …}\''
        ) from None

    def rows() -> Iterator[Row]:
        return (Row(number, row) for number, row in enumerate(data, start=1))

    prompts, skipped = _prompts(rows, what, options, None)
    # The addresses of what was downloaded hold the commit: hf://datasets/owner/name@<sha>/….
    sources = " ".join(getattr(getattr(data, "info", None), "download_checksums", None) or {})
    commit = re.search(r"@([0-9a-f]{40})/", sources)
    return prompts, skipped, commit.group(1) if commit else options.prompts_revision


def _load(where: PromptSelection, options: Options) -> Loaded:
    """Of ``prompts_file``: all rows, whatever their language."""
    source = options.prompts if options.prompts != MINI else options.local_path or MINI
    if source == MINI:
        raise DetoxbenchError(
            'prompts_file needs a file or a hub dataset: --metadata \'{"prompts": "my.jsonl"}\', and for other columns '
            'than text, lang and toxicity {"text": "prompt.text", "lang": "lang", "toxicity": …, "group": …}'
        )
    path = Path(source).expanduser()
    if path.is_file() or not _HUB_NAME.fullmatch(source) or source.lower().endswith(SUFFIXES):
        prompts, skipped = _file(source, options, None)
        loaded = Loaded(prompts, name=path.name, skipped=skipped)
    else:
        prompts, skipped, commit = _hub(source, options)
        subset = "/".join(part for part in (options.config, options.split) if part) or None
        loaded = Loaded(prompts, name=source, revision=commit, subset=subset, skipped=skipped)
    if not loaded.prompts:
        raise DetoxbenchError(f"prompts='{source}': it has no rows")
    return replace(loaded, subset=loaded.subset or where.subset)


SET = PromptSet(
    "prompts_file",
    _load,
    {"prompts_file": PromptSelection("prompts_file")},
    options=(
        "prompts",
        "text",
        "lang",
        "toxicity",
        "group",
        "config",
        "split",
        "prompts_revision",
        "bad_rows",
        "prompts_name",
    ),
)
