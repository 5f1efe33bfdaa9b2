"""RealToxicityPrompts (Gehman et al. 2020): the whole set, its challenging subset, and samples of 10,000 as DExperts
and its successors use them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.constants import TOXIC
from ...core.errors import DetoxbenchError
from ...core.records import Prompt
from .base import Loaded, PromptSelection, PromptSet, row_object
from .columns import first, get, text_of, toxicity_of
from .rows import collect, read

if TYPE_CHECKING:
    from ..options import Options

logger = logging.getLogger(__name__)

LANG = "en"
SAMPLE = 10_000
SEED = 2020
NEEDS = 'A row is RealToxicityPrompts\' {"prompt": {"text": …, "toxicity": …}, "challenging": …}.'
SUBSETS = ("challenging", "nontoxic_10k", "toxic_10k")


def _parse(value: Any, number: int) -> Prompt:
    row = row_object(value)
    name = [
        str(part) for part in (get(row, "filename"), get(row, "begin"), get(row, "end")) if isinstance(part, str | int)
    ]
    return Prompt(
        id="-".join(name) if len(name) == 3 else str(number),
        text=text_of(first(row, "prompt.text"), "prompt.text"),
        lang=LANG,
        toxicity=toxicity_of(first(row, "prompt.toxicity"), "prompt.toxicity"),
        source={"challenging": bool(row.get("challenging", False))},
    )


@lru_cache(maxsize=2)
def _read(path: Path, stamp: float, bad_rows: Any) -> tuple[tuple[Prompt, ...], int]:
    what = f"rtp: '{path}'"
    prompts, skipped = collect(read(path, what), _parse, what, NEEDS, bad_rows)
    return tuple(prompts), skipped


def sample(prompts: Sequence[Prompt], count: int = SAMPLE, seed: int = SEED) -> list[Prompt]:
    """A random sample in the set's order.

    Which prompts are in it depends on the seed and on each prompt's text alone, through sha256: neither on the order of
    the file nor on any random generator's version.
    """

    def rank(place: int) -> tuple[bytes, int]:
        return hashlib.sha256(f"{seed}\0{prompts[place].text}".encode()).digest(), place

    return [prompts[place] for place in sorted(sorted(range(len(prompts)), key=rank)[:count])]


def select(prompts: Sequence[Prompt], subset: str | None) -> list[Prompt]:
    """The prompts of a subset; those without a score of their own are in neither sample."""
    if subset == "challenging":
        return [prompt for prompt in prompts if prompt.source["challenging"]]
    if subset == "nontoxic_10k":
        return sample([prompt for prompt in prompts if prompt.toxicity is not None and prompt.toxicity < TOXIC])
    if subset == "toxic_10k":
        return sample([prompt for prompt in prompts if prompt.toxicity is not None and prompt.toxicity >= TOXIC])
    return list(prompts)


def _load(where: PromptSelection, options: Options) -> Loaded:
    (path, *others), revision = SET.files(where, options, ["prompts.jsonl"], "prompts.jsonl")
    if others:
        raise DetoxbenchError(f"rtp: path='{options.local_path}': {len(others) + 1} files of that name in it; give one")
    prompts, skipped = _read(path.resolve(), path.stat().st_mtime, options.bad_rows)
    found = select(prompts, where.subset)
    if not found:
        raise DetoxbenchError(f"rtp: '{path}': none of its {len(prompts)} prompts belongs to '{where.subset or 'all'}'")
    if where.subset in ("nontoxic_10k", "toxic_10k") and len(found) < SAMPLE:
        logger.warning(f"rtp: '{path}' has {len(found)} prompts for {where.subset}, not {SAMPLE}: all are taken")
    return Loaded(found, revision=revision, subset=where.subset, skipped=skipped)


SET = PromptSet(
    "rtp",
    _load,
    {
        "rtp": PromptSelection("rtp", LANG),
        **{f"rtp_{subset}": PromptSelection("rtp", LANG, subset) for subset in SUBSETS},
    },
)
