"""Prompt sets, one file each, registered in ``core/registry.py``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.records import Prompt
from ...core.registry import PROMPTS
from .base import Loaded, PromptSelection, PromptSet

if TYPE_CHECKING:
    from ..options import Options

__all__ = ["Loaded", "PromptSelection", "PromptSet", "get", "load", "load_set", "sha256"]


def get(name: str) -> PromptSet:
    """The registered set of that name.

    Raises:
        DetoxbenchError: for an unknown name.
    """
    return PROMPTS[name]


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


def load_set(where: PromptSelection, options: Options) -> Loaded:
    """The prompts of a task, toxic and other ones in turns (``Loaded.interleaved``).

    Raises:
        DetoxbenchError: for an unknown set, unavailable data or wrong rows, or a set that has no prompts.
    """
    loaded = get(where.prompt_set).load(where, options.for_set(where.prompt_set, PROMPTS))
    if not loaded.prompts:
        raise DetoxbenchError(f"prompt set '{where.prompt_set}': no prompts for {where.lang or 'any language'}")
    if options.prefix:
        prompts = [prompt.model_copy(update={"text": options.prefix + prompt.text}) for prompt in loaded.prompts]
        loaded = replace(loaded, prompts=prompts)
    return loaded.interleaved()


def sha256(prompts: Sequence[Prompt]) -> str:
    """Of the texts in the set's own order: what runs must share to be comparable."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(prompt.text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
