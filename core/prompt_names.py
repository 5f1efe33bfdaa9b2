"""What people call a run's prompts. What they are, ``prompts_sha256`` tells: a name changes no number and no board."""

from __future__ import annotations

from .records import TaskRun

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""Of files of prompts."""
LONGEST_NAME = 80
"""Characters of a name that somebody chose."""
_SHORTEST_STEM = 4
"""A file whose name is shorter is most often called after its language: ``en.jsonl``, ``por.csv``."""


def prompts_name(run: TaskRun) -> str:
    """What tables call the prompts: the name that was given with ``prompts_name``; of a file, its name without the
    suffix, marked as a file's; else the set's name.

    >>> run = {"prompts_sha256": "", "scorer": "s", "scorer_version": "", "attributes": [], "fluency_model": None,
    ...        "samples": 1, "generation": {}, "constants": {}}
    >>> [prompts_name(TaskRun(prompt_set=name, **run)) for name in ("rtp_lx", "clinic.jsonl", "en.jsonl")]
    ['rtp_lx', 'clinic (a file)', 'a file of prompts']
    >>> prompts_name(TaskRun(prompt_set="en.jsonl", prompts_name="Clinic letters", **run))
    'Clinic letters'
    """
    if run.prompts_name:
        return run.prompts_name
    if (stem := file_stem(run.prompt_set)) is None:
        return run.prompt_set
    return f"{stem} (a file)" if len(stem) >= _SHORTEST_STEM and stem != run.lang else "a file of prompts"


def file_stem(prompt_set: str) -> str | None:
    """A file's name without its suffix; None for a set that is no file.

    >>> file_stem("clinic.v2.JSONL"), file_stem("rtp/toxic_10k")
    ('clinic.v2', None)
    """
    return next((prompt_set[: -len(end)] for end in SUFFIXES if prompt_set.lower().endswith(end)), None)
