"""Whether a ranking survives another scorer: the same runs' records under two scorers, by language and on average."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.comparability import Measurement, across_languages, measurement_of
from ..core.metrics import with_role
from ..core.statistics.rank_agreement import RankAgreement, Side, rank_agreement
from .boards import board_of
from .submissions import RunRecord, TaskRecord

(PRIMARY,) = with_role("primary")
"""What runs are ranked by."""
ScorerKey = tuple[str, str]
"""Name and version."""


@dataclass(frozen=True)
class Stability:
    """Two scorers on one set of runs.

    Args:
        prompt_set, metric: what was ranked.
        a, b: the scorers, name and version.
        runs: labels of those that both have judged.
        ids: of their records, under a and under b.
        languages: language -> agreement.
        macro: of the unweighted mean over languages.
        left_out: runs that only one of the two has judged, or not in all languages and on all prompts.
    """

    prompt_set: str
    metric: str
    a: ScorerKey
    b: ScorerKey
    runs: tuple[str, ...]
    ids: tuple[tuple[str, str], ...]
    languages: Mapping[str, RankAgreement]
    macro: RankAgreement
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is undefined is None."""
        return {
            "prompt_set": self.prompt_set, "metric": self.metric,
            "a": dict(zip(("scorer", "version"), self.a, strict=True)),
            "b": dict(zip(("scorer", "version"), self.b, strict=True)),
            "runs": list(self.runs), "left_out": self.left_out,
            "languages": {lang: _plain(one) for lang, one in self.languages.items()}, "macro": _plain(self.macro),
        }  # fmt: skip


def _plain(found: RankAgreement) -> dict[str, Any]:
    numbers = {
        name: value if math.isfinite(value) else None
        for name, value in (("tau", found.tau), ("low", found.low), ("high", found.high))
    }
    return {**numbers, "runs": found.runs, "prompts": found.prompts, "reason": found.reason}


def stabilities(records: Iterable[RunRecord], metric: str = PRIMARY) -> list[Stability]:
    """Every two scorers that have judged the same runs, at least one run of them.

    Runs are the same if model, method, its arguments, sampling and seed are, and everything was measured alike but for
    scorer and fluency model. That the texts are the same too follows from these where a run was scored again
    (``detoxbench score``), and nearly so where it was sampled again.
    """
    groups: dict[tuple[Any, ...], dict[ScorerKey, dict[str, RunRecord]]] = {}
    for record in records:
        board = board_of(record)
        common = {_without_scorer(across_languages(one)) for _, one in board.tasks}
        scorers = {(task.run.scorer, task.run.scorer_version) for task in record.tasks}
        if len(common) == len(scorers) == 1:
            of = groups.setdefault((board.mini, *common), {})
            of.setdefault(scorers.pop(), {})[_identity(record)] = record  # of several, the last
    found = []
    for group in groups.values():
        for a, b in itertools.combinations(sorted(group), 2):
            if one := _stability(a, b, group[a], group[b], metric):
                found.append(one)
    return found


def _without_scorer(measurement: Measurement) -> Measurement:
    return replace(measurement, scorer="", scorer_version="", attributes="", fluency_model=None, fluency_version=None)


def _identity(record: RunRecord) -> str:
    """What makes a run's texts: model, method, arguments, sampling, seed."""
    if record.model is None:
        return record.label
    fields = ("pretrained", "method", "method_arguments", "effective_arguments", "sampling", "seed")
    return json.dumps(record.model.model_dump(mode="json", include=set(fields)), sort_keys=True)


def _stability(
    a: ScorerKey, b: ScorerKey, one: Mapping[str, RunRecord], other: Mapping[str, RunRecord], metric: str
) -> Stability | None:
    shared = sorted(one.keys() & other.keys(), key=lambda name: one[name].label)
    if not shared:
        return None
    pairs = [(_tasks(one[name], metric), _tasks(other[name], metric)) for name in shared]
    every = [tasks for pair in pairs for tasks in pair]
    langs = sorted({lang for tasks in every for lang in tasks})
    # The language's prompts, and who was asked just these: a run that was not is left out where it would take
    # everybody's language away.
    asked = {lang: _most([_prompts(tasks[lang]) for tasks in every if lang in tasks]) for lang in langs}
    full = [
        place for place, pair in enumerate(pairs)
        if all(lang in tasks and _prompts(tasks[lang]) == asked[lang] for tasks in pair for lang in langs)
    ]  # fmt: skip
    kept = [pairs[place] for place in full]
    left_out = len(one.keys() | other.keys()) - len(full)
    if not kept or not langs:
        return None
    groups = {lang: (_side([p[0][lang] for p in kept], metric), _side([p[1][lang] for p in kept], metric))
              for lang in langs}  # fmt: skip
    first = one[shared[0]].tasks[0].run
    return Stability(
        first.prompt_set, metric, a, b, tuple(one[shared[place]].label for place in full),
        tuple((one[shared[place]].id, other[shared[place]].id) for place in full),
        {lang: rank_agreement([pair]) for lang, pair in groups.items()},
        rank_agreement(list(groups.values())), left_out,
    )  # fmt: skip


def _tasks(record: RunRecord, metric: str) -> dict[str, TaskRecord]:
    return {task.language: task for task in record.tasks if metric in task.columns}


def _prompts(task: TaskRecord) -> tuple[str, tuple[int, ...]]:
    return measurement_of(task.run).prompts_sha256, tuple(task.docs)


def _most(asked: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[str, tuple[int, ...]]:
    return max(dict.fromkeys(asked), key=lambda one: (asked.count(one), len(one[1]), one))


def _side(tasks: Sequence[TaskRecord], metric: str) -> Side:
    pairs = [task.columns[metric].pair() for task in tasks]
    return np.stack([n for n, _ in pairs]), np.stack([d for _, d in pairs])
