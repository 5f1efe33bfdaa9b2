"""Which tasks share a table, and which runs may be compared: what their numbers depend on must agree, the model and the
method may differ. Only what changes the texts sampled, or what is measured of them, counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from .constants import MINI
from .errors import DetoxbenchError
from .records import ModelRun, TaskRun
from .results import Run

ENOUGH = 8
"""Differences spelled out in one error; the others are counted."""


@dataclass(frozen=True)
class Measurement:
    """How one task was measured; every field is text or a number, so that a measurement is a key.

    Args:
        prompt_set, subset, prompts_sha256: the prompts.
        samples: K.
        generation: settings passed to the model, as JSON with sorted keys.
        sampling_protocol: name of the settings asked for.
        protocol: ``base``, ``chat`` or ``reply``.
        system_instruction: put before every prompt.
        instruction_langs: languages of a chat protocol's instructions, joined by commas.
        scorer, scorer_version, attributes: who scored what.
        fluency_model, fluency_version: what perplexity was measured with.
        constants: thresholds and cut-offs, as JSON with sorted keys.
    """

    prompt_set: str
    subset: str | None
    prompts_sha256: str
    samples: int
    generation: str
    sampling_protocol: str
    protocol: str
    instruction_langs: str
    scorer: str
    scorer_version: str
    attributes: str
    fluency_model: str | None
    fluency_version: str | None
    constants: str
    system_instruction: str = ""


WORDS = {
    "prompt_set": "prompt set",
    "prompts_sha256": "sha256 of the prompts",
    "samples": "continuations per prompt (K)",
    "generation": "generation settings",
    "sampling_protocol": "sampling protocol",
    "protocol": "base, chat or reply protocol",
    "system_instruction": "system instruction",
    "instruction_langs": "languages of the instructions",
    "scorer_version": "scorer version",
    "fluency_model": "fluency model",
    "fluency_version": "fluency model's version",
    "constants": "thresholds and cut-offs",
}
"""Field of ``Measurement`` -> what people call it, where that is not its name."""


@dataclass(frozen=True)
class Board:
    """What all runs of one table share; equal boards are comparable, and a board is a key of dictionaries.

    Args:
        mini: the embedded model wrote the text; it never shares a table with real models.
        tasks: lm-eval's task name and how it was measured, sorted by name.
    """

    mini: bool
    tasks: tuple[tuple[str, Measurement], ...]


def measurement_of(record: TaskRun) -> Measurement:
    """What of a task's record must agree between comparable runs."""
    return Measurement(
        prompt_set=record.prompt_set,
        subset=record.subset,
        prompts_sha256=record.prompts_sha256,
        samples=record.samples,
        generation=_text(distribution(record.generation)),
        sampling_protocol=record.sampling_protocol,
        protocol=record.protocol,
        instruction_langs=",".join(record.instruction_langs),
        scorer=record.scorer,
        scorer_version=record.scorer_version,
        attributes=",".join(record.attributes),
        fluency_model=record.fluency_model,
        fluency_version=record.fluency_version,
        constants=_text(record.constants),
        system_instruction=record.system_instruction,
    )


def table_of(record: TaskRun) -> Measurement:
    """What the tasks of one table share: all of a measurement but what each language has of its own, its prompts and
    the language of its instructions."""
    return across_languages(measurement_of(record))


def across_languages(measurement: Measurement) -> Measurement:
    """A measurement without what each language has of its own: its prompts, the language of its instructions."""
    return replace(measurement, prompts_sha256="", instruction_langs="")


def board_of(run: Run) -> Board:
    """The board of a run, read from lm-eval's files."""
    return board([(name, task.record) for name, task in run.tasks.items()], run.model)


def board(tasks: Iterable[tuple[str, TaskRun]], model: ModelRun | None) -> Board:
    """The board of tasks, given as name and record, of one model."""
    mini = model is not None and model.pretrained == MINI
    return Board(mini, tuple(sorted(((name, measurement_of(record)) for name, record in tasks), key=lambda t: t[0])))


def differences(a: Board, b: Board) -> list[str]:
    """What differs, one line each, in words; empty if the two are comparable.

    What differs in the same way in several tasks is one line that names them.
    """
    found = []
    if a.mini != b.mini:
        found.append(f"model: {_kind(a)} and {_kind(b)}")
    ours, theirs = dict(a.tasks), dict(b.tasks)
    for word, missing in (("first", ours.keys() - theirs), ("second", theirs.keys() - ours)):
        if missing:
            found.append(f"tasks only in the {word}: {', '.join(map(_shown, sorted(missing)))}")
    shared = [name for name in ours if name in theirs]
    for field in fields(Measurement):
        unlike: dict[tuple[Any, Any], list[str]] = {}
        for name in shared:
            pair = getattr(ours[name], field.name), getattr(theirs[name], field.name)
            if pair[0] != pair[1]:
                unlike.setdefault(pair, []).append(name)
        for (one, other), names in unlike.items():
            where = "" if len(names) == len(shared) else f" ({', '.join(map(_shown, names))})"
            word = WORDS.get(field.name, field.name.replace("_", " "))
            found.append(f"{word}: {_shown(one)} and {_shown(other)}{where}")
    return found


def comparable(a: Board, b: Board) -> None:
    """Nothing, if two runs may be compared.

    Raises:
        DetoxbenchError: listing what differs.
    """
    found = differences(a, b)
    if found:
        more = f"; and {len(found) - ENOUGH} more" if len(found) > ENOUGH else ""
        raise DetoxbenchError(
            f"the runs are not comparable: {'; '.join(found[:ENOUGH])}{more}. "
            f"Only model and method may differ: measure one of the two again as the other was"
        )


def distribution(generation: Mapping[str, Any]) -> dict[str, Any]:
    """What of the settings passed to a model changes the distribution that texts are sampled from.

    Neither the seed, which says which of its samples were drawn, nor settings that say nothing (None, no stop string,
    top-k of 0) nor, where the likeliest token is taken, those of sampling; and one name for the length.
    """
    said = {name: value for name, value in generation.items() if value not in (None, [], (), "")}
    found = {name: value for name, value in said.items() if name not in _SILENT}
    for name in _LENGTHS:
        if name in found:
            found.setdefault(_LENGTHS[0], found[name])
            if name != _LENGTHS[0]:
                del found[name]
    for name in ("temperature", "top_p"):
        if isinstance(found.get(name), int):
            found[name] = float(found[name])
    if found.get("do_sample") is False or found.get("temperature") == 0:
        found = {name: value for name, value in found.items() if name not in _OF_SAMPLING} | {"do_sample": False}
    if found.get("top_k") == 0:
        del found["top_k"]
    return found


_SILENT = frozenset(("seed",))
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_OF_SAMPLING = frozenset(("temperature", "top_p", "top_k", "do_sample"))


def nucleus(model: ModelRun | None, record: TaskRun) -> float | None:
    """Mass of the nucleus that a run's tokens were drawn from; None where results do not say.

    A method that cuts the base model's nucleus itself (``filter_p``) is sampled with top-p 1: its nucleus is its own.
    What results have under ``sampling.nucleus_method`` (or ``sampling.nucleus``) is taken at its word.
    """
    given = mass(record.generation.get("top_p"))
    if model is None:
        return given
    for name in ("nucleus_method", "nucleus"):
        if name in model.sampling:
            return mass(model.sampling[name])
    top_p = mass(model.sampling.get("top_p", given))
    filter_p = mass(model.effective_arguments.get("filter_p"))
    return filter_p if top_p == 1 and filter_p is not None else top_p


def mass(value: object) -> float | None:
    """A share of the probability, above 0 and at most 1; None for anything else that a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        return None
    return float(value)


def unlike_nuclei(a: Run, b: Run) -> list[str]:
    """One line for each pair of unlike nuclei in the tasks that both runs have; empty if all are alike.

    Such runs may be compared, for method and nucleus are sometimes one; but part of the difference is the nucleus's.
    """
    pairs: dict[tuple[float | None, float | None], list[str]] = {}
    for name, task in a.tasks.items():
        if name in b.tasks:
            pair = nucleus(a.model, task.record), nucleus(b.model, b.tasks[name].record)
            if pair[0] != pair[1] and None not in pair:
                pairs.setdefault(pair, []).append(name)
    return [
        f"the runs were sampled from unlike nuclei, of mass {one:g} and {other:g} ({', '.join(map(_shown, names[:3]))}"
        f"{', …' if len(names) > 3 else ''}): part of what differs is the nucleus, not the method"
        for (one, other), names in pairs.items()
    ]


def _kind(board: Board) -> str:
    return "the embedded one (mini)" if board.mini else "a real one"


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(dict(settings), sort_keys=True, default=str)


def _shown(value: object) -> str:
    """A value in one line of bounded length, control and direction marks escaped."""
    if value is None:
        return "none"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
    return text if len(text) <= 200 else f"{text[:200]}…"
