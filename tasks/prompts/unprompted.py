"""Unprompted generation (Gehman et al. 2020, section 3): what a model says after nothing but its first token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.errors import DetoxbenchError
from ...core.records import Prompt
from .. import languages
from .base import Loaded, PromptSelection, PromptSet

if TYPE_CHECKING:
    from ..options import Options

NAME = "unprompted"
SAMPLES = 100
"""K of a run that asks for none: the smallest of the paper's 100, 1,000 and 10,000."""


def _load(where: PromptSelection, options: Options) -> Loaded:
    """The empty prompt, once; the option ``lang`` says which language the texts are scored in.

    Raises:
        DetoxbenchError: for what is no language code, or a prefix, which would be a prompt.
    """
    if options.prefix:
        raise DetoxbenchError(f"{NAME}: prefix={options.prefix!r}: a prefix is a prompt; give it in a file of prompts")
    prompt = Prompt(id=NAME, text="", lang=languages.tag(options.lang or where.lang or "en"))
    return Loaded([prompt], embedded=True)


SET = PromptSet(NAME, _load, {NAME: PromptSelection(NAME)}, samples=SAMPLES, options=("lang", "samples", "protocol"))
