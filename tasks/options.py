"""What a run can choose with ``--metadata '{"scorer": …, "samples": …}'``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from ..core import scorers
from ..core.constants import AUTO, MINI, SAMPLES
from ..core.errors import DetoxbenchError, shown, unknown
from ..core.files import possible
from ..core.prompt_names import LONGEST_NAME
from .protocols import PROTOCOLS, RTP


def _names(value: Any) -> Any:
    """``"a,b"``, ``["a", "b"]`` or ``"a"`` as a tuple."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(value) if isinstance(value, list) else value


def _pairs(value: Any) -> Any:
    """An object as pairs, which can be hashed."""
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _one_line(value: str) -> str:
    """A name without line breaks and other signs that cannot be seen, or spaces around it."""
    if not value.isprintable():
        raise ValueError("a name is one line of signs that can be seen")
    return value.strip()


class Options(pydantic.BaseModel):
    """The options of our tasks.

    Args:
        scorer: ``name`` or ``name:argument`` of the toxicity scorer; ``auto`` is ``mini`` in the embedded world, and
            else the best-validated one on this machine.
        archive: file of a score archive to go through; ``none`` for none; by default only metered scorers have one.
        offline: score from the archive alone.
        on_unsupported: ``nan`` leaves texts in languages that the scorer does not support unscored.
        fluency_model: model that perplexity is measured with, or ``none``; ``auto`` is ``mini`` in the embedded world,
            else ``none``.
        samples: K, continuations of a prompt; by default the protocol's, and 100 of ``unprompted``.
        protocol: sampling settings, ``rtp`` or ``ptp`` (see ``protocols.py``); by default the prompt set's own.
        prompts: for ``rtp_multilingual`` ``mini`` or a file of prompts; for ``prompts_file`` a file or a hub dataset.
        prompts_name: what tables call the prompts of a file or a hub dataset; by default the file's name. It changes
            no number, and runs with other names are compared as long as their prompts are the same.
        path: file or folder with a copy of a published set, or an object of such by name of the set, for a run of
            several; ``{lang}`` and ``{subset}`` in it are replaced.
        task: how a chat model is asked: ``continuation`` tells it to continue the prompt, ``chat`` gives it the prompt
            as a message to reply to; by default what the prompts are (``wildchat``: messages).
        subset: part of a set that has several (``small``, ``full``, ``wildchat``).
        prompts_revision: another commit of a set on the hub than the one this package pins.
        text, lang, toxicity, group: of your own prompts, the columns, as dotted paths (``prompt.text``). ``lang`` may
            be a language code for all rows; ``group`` several columns.
        prefix: text put before every prompt, as it is ("I don't care if this is controversial. ", Kim et al. 2024).
        config, split: of a hub dataset.
        bad_rows: ``error``, or ``skip`` to leave rows out that cannot be read; their number is in results.
        resume: whether the model ``detox`` goes on where an earlier run of the same command was killed.
        utility: lm-eval's tasks that the group ``detox_utility`` runs; by default those of ``utility.py``.
        cost: whether the model ``detox`` measures what its method costs (time, passes, memory), against the same
            model without it.
        password: of an encrypted archive; better given by the environment variable that the set's card names.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    scorer: str = AUTO
    archive: str | None = None
    offline: bool = False
    on_unsupported: Literal["error", "nan"] | None = None
    fluency_model: str = AUTO
    samples: int = pydantic.Field(default=SAMPLES, ge=1, le=10_000)
    protocol: Literal["rtp", "ptp"] = RTP
    prompts: str = MINI
    prompts_name: Annotated[str, pydantic.Field(max_length=LONGEST_NAME), pydantic.AfterValidator(_one_line)] = ""
    path: Annotated[str | tuple[tuple[str, str], ...] | None, pydantic.BeforeValidator(_pairs)] = None
    task: Literal["continuation", "chat"] | None = None
    subset: str | None = None
    prompts_revision: str | None = None
    text: str | None = None
    lang: str | None = None
    toxicity: str | None = None
    group: Annotated[tuple[str, ...], pydantic.BeforeValidator(_names)] = ()
    prefix: str = ""
    config: str | None = None
    split: str | None = None
    bad_rows: Literal["error", "skip"] = "error"
    password: str | None = pydantic.Field(default=None, repr=False)
    resume: bool = True
    utility: Annotated[tuple[str, ...] | None, pydantic.BeforeValidator(_names)] = None
    cost: bool = False

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], protocol: str = RTP, samples: int | None = None) -> Options:
        """The options among lm-eval's metadata, which holds the model's arguments and the task's own entries too.

        Args:
            metadata: lm-eval's.
            protocol: the prompt set's own, for a run that asks for none.
            samples: likewise; None for the protocol's.

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
        given = {key: metadata[key] for key in cls.model_fields if key in metadata}
        chosen = given.setdefault("protocol", protocol)
        if samples is not None:
            given.setdefault("samples", samples)
        elif isinstance(chosen, str) and chosen in PROTOCOLS:
            given.setdefault("samples", PROTOCOLS[chosen].samples)
        try:
            options = cls(**given)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            value = "…" if first["loc"][0] == "password" else shown(first["input"], quoted=True)
            why = first["msg"].removeprefix("Value error, ")
            raise DetoxbenchError(f"--metadata: {first['loc'][0]}={value}: {why[0].lower()}{why[1:]}") from None
        for name in _FILES:
            value = getattr(options, name)
            for one in (part for _, part in value) if isinstance(value, tuple) else (value,):
                if isinstance(one, str) and not possible(one):
                    raise DetoxbenchError(f"--metadata: {name}={shown(one, quoted=True)}: no file can have this name")
        if options.scorer != AUTO:
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

    def for_set(self, name: str, sets: Iterable[str]) -> Options:
        """The options as one prompt set sees them: ``path`` is its own.

        Raises:
            DetoxbenchError: for a path of a set that there is not.
        """
        if not isinstance(self.path, tuple):
            return self
        paths = dict(self.path)
        for key in paths:
            if key not in sets:
                raise unknown("prompt set in path", key, sets)
        return self.model_copy(update={"path": paths.get(name)})

    @property
    def local_path(self) -> str | None:
        """``path`` of the one set that these options were made for by ``for_set``; None where it has none."""
        return None if isinstance(self.path, tuple) else self.path

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in type(self).model_fields))

    @property
    def uses_fluency(self) -> bool:
        return self.fluency_model != NONE


_FILES = ("archive", "fluency_model", "prompts", "path")
"""Options that may name files."""
NONE = "none"
"""No fluency model."""
_OTHERS = frozenset(
    ("prompt_set", "version", "config_source", "pretrained", "tokenizer", "sampler", "configs", "value_model")
)
"""Entries of metadata that are not options but lie near one."""
