"""What a run can choose with ``--metadata '{"scorer": …, "samples": …}'``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pydantic

from ..harness import scorers
from ..harness.constants import MINI, SAMPLES
from ..harness.errors import DetoxbenchError


class Options(pydantic.BaseModel):
    """The options of our tasks.

    Args:
        scorer: ``name`` or ``name:argument`` of the toxicity scorer.
        archive: file of a score archive to go through; ``none`` for none; by default only metered scorers have one.
        offline: score from the archive alone.
        on_unsupported: ``nan`` leaves texts in languages that the scorer does not support unscored.
        fluency_model: model that perplexity is measured with, or ``none``.
        samples: K, continuations of a prompt.
        prompts: ``mini``, or a file of prompts.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    scorer: str = MINI
    archive: str | None = None
    offline: bool = False
    on_unsupported: Literal["error", "nan"] | None = None
    fluency_model: str = MINI
    samples: int = pydantic.Field(SAMPLES, ge=1, le=10_000)
    prompts: str = MINI

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Options:
        """The options among lm-eval's metadata, which holds the model's arguments and the task's own entries too.

        Raises:
            DetoxbenchError: for a wrong value, or a key that looks like a misspelt option.
        """
        for key in metadata:
            if key not in cls.model_fields and key not in _OTHERS:
                near = difflib.get_close_matches(key, cls.model_fields, n=1, cutoff=0.75)
                if near:
                    raise DetoxbenchError(
                        f"--metadata: unknown option '{key}': did you mean '{near[0]}'? "
                        f"Allowed: {', '.join(cls.model_fields)}."
                    )
        try:
            options = cls(**{key: metadata[key] for key in cls.model_fields if key in metadata})
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise DetoxbenchError(
                f"--metadata: {first['loc'][0]}={first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
            ) from None
        scorers.check(options.scorer)
        if options.looks_like_path(options.fluency_model) and not Path(options.fluency_model).is_dir():
            raise DetoxbenchError(
                f"--metadata: fluency_model='{options.fluency_model}': there is no such folder; give a folder, "
                f"a model on the hub, '{MINI}', or 'none' to leave perplexity out"
            )
        return options

    @staticmethod
    def looks_like_path(name: str) -> bool:
        """Whether a model's name can only be a path: hub names are ``name`` or ``owner/name``."""
        return name.startswith(("/", ".", "~")) or name.count("/") > 1

    @cached_property
    def uses_fluency(self) -> bool:
        return self.fluency_model != "none"


_OTHERS = frozenset(("prompt_set", "lang", "version", "config_source", "pretrained", "tokenizer", "sampler"))
"""Entries of metadata that are not options but lie near one."""
