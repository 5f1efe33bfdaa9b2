"""From the runs of a study to its matrices: step x language of each metric, with what the papers read from them.

A *change* is a paired difference (``core/statistics``) on the same prompts, and its interval resamples prompts:

* ``change`` is after a step less before the first (the base model);
* ``step_change`` is after a step less before that step;
* ``transfer`` is the mean change on languages not yet added;
* ``forgetting`` is after a later step less after a language's own step: above 0 where it rose again;
* ``own_step`` compares a language's change at its own step with the mean of its changes at all other steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core.constants import RESAMPLES
from ...core.continual_file import MACRO
from ...core.statistics import (
    Difference,
    Interval,
    intervals,
    macro_intervals,
    paired_differences,
    paired_macro_differences,
)
from .measured import Measured

Entry = dict[str, Any]
Row = dict[str, list[Entry]]
"""Column -> an entry a metric."""


class Matrix:
    """One order of one variant.

    Args:
        order: names of the steps.
        base: before the first.
        after: after each.
        columns: of the matrix.
        metrics: those measured, in the order of the arrays.
        static: everything at once.
        resamples: of the bootstrap.
    """

    def __init__(
        self,
        order: Sequence[str],
        base: Measured,
        after: Sequence[Measured],
        columns: Sequence[str],
        metrics: Sequence[str],
        static: Measured | None = None,
        resamples: int = RESAMPLES,
    ):
        self.order, self.base, self.after, self.static = list(order), base, list(after), static
        self.columns, self.metrics = list(columns), list(metrics)
        self.resamples = resamples
        self.prompts = {column: list(base.rows[column]) for column in columns}
        """Of each column; every model has answered the same ones."""

    def as_json(self) -> dict[str, Any]:
        """Metric -> everything about it; see the module."""
        stages = [self.base, *self.after]
        parts: dict[str, Any] = {
            "base": self.level(self.base),
            "level": [self.level(one) for one in self.after],
            "change": [self.change(self.base, one) for one in self.after],
            "step_change": [self.change(a, b) for a, b in itertools.pairwise(stages)],
            "transfer": [self.transfer(step) for step in range(len(self.order))],
            "forgetting": [self.forgetting(step) for step in range(len(self.order))],
            "own_step": self.own_step(),
        }
        if self.static is not None:
            parts["static"] = {
                "level": self.level(self.static),
                "change": self.change(self.base, self.static),
                "continual_less_static": self.change(self.static, self.after[-1]),
            }
        return {metric: _of_metric(parts, place) for place, metric in enumerate(self.metrics)}

    def level(self, one: Measured) -> Row:
        """Values with intervals, per column and their mean."""
        arrays = {column: one.arrays(column, self.prompts[column]) for column in self.columns}
        found = {
            column: [_interval(each) for each in intervals(*pair, resamples=self.resamples)]
            for column, pair in arrays.items()
        }
        return {
            **found,
            MACRO: [_interval(each) for each in macro_intervals(list(arrays.values()), resamples=self.resamples)],
        }

    def change(self, a: Measured, b: Measured, columns: Sequence[str] | None = None) -> Row:
        """``b - a``, per column and their mean."""
        columns = self.columns if columns is None else list(columns)
        found = {}
        for column in columns:
            changes = paired_differences(*self._pair(a, b, column))
            found[column] = [_difference(each) for each in changes]
        return {**found, MACRO: self._macro(a, b, columns)}

    def transfer(self, step: int) -> list[Entry] | None:
        """Mean change on the columns that are not added yet, or never; None where there is none."""
        later = [column for column in self.columns if column not in self.order[: step + 1]]
        return self._macro(self.base, self.after[step], later) if later else None

    def forgetting(self, step: int) -> Row | None:
        """Rise of every column added before, since its own step; None at the first step."""
        earlier = [column for column in self.columns if column in self.order[:step]]
        if not earlier:
            return None
        found, pairs = {}, []
        for column in earlier:
            pair = self._pair(self.after[self.order.index(column)], self.after[step], column)
            found[column] = [_difference(each) for each in paired_differences(*pair)]
            pairs.append(pair)
        return {
            **found,
            MACRO: [_difference(each) for each in paired_macro_differences(pairs)],
        }

    def own_step(self) -> dict[str, list[Entry]] | None:
        """Change at a column's own step less the mean of its changes at the other steps, by prompt.

        A prompt's values are compared, not its numerators: where all generations were scored that is the same for all
        metrics but perplexity and those of words. None with a single step.
        """
        mine = [column for column in self.columns if column in self.order]
        steps = len(self.order)
        if steps < 2 or not mine:
            return None
        found, pairs = {}, []
        for column in mine:
            own = self.order.index(column)
            prompts = self.prompts[column]
            stages = np.stack([one.values(column, prompts) for one in (self.base, *self.after)])
            moves = np.diff(stages, axis=0)  # [steps, metrics, prompts]
            contrast = moves[own] - (moves.sum(axis=0) - moves[own]) / (steps - 1)
            known = ~np.isnan(contrast)
            weight = known.astype(float)
            pair = (np.zeros_like(contrast), weight, np.where(known, contrast, 0.0), weight)
            pairs.append(pair)
            means = [[float(np.nanmean(move)) if (~np.isnan(move)).any() else math.nan for move in moves[:, place]]
                     for place in range(len(self.metrics))]  # fmt: skip
            found[column] = [
                {
                    **_difference(each), "step": own + 1,
                    "largest_fall": None if np.isnan(mean).all() else int(np.nanargmin(mean)) + 1,
                }
                for each, mean in zip(paired_differences(*pair), means, strict=True)
            ]  # fmt: skip
        return {
            **found,
            MACRO: [_difference(each) for each in paired_macro_differences(pairs)],
        }

    def _pair(self, a: Measured, b: Measured, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        prompts = self.prompts[column]
        return (*a.arrays(column, prompts), *b.arrays(column, prompts))

    def _macro(self, a: Measured, b: Measured, columns: Sequence[str]) -> list[Entry]:
        pairs = [self._pair(a, b, column) for column in columns]
        return [_difference(each) for each in paired_macro_differences(pairs)]


def order_effects(matrices: Sequence[Matrix]) -> list[dict[str, Any]]:
    """What one order leaves at its end less what another leaves, on the columns that both added.

    Args:
        matrices: of one variant; each pair is compared.
    """
    found = []
    for at, a in enumerate(matrices):
        for b in matrices[at + 1 :]:
            shared = [column for column in a.columns if column in a.order and column in b.order]
            if shared:
                change = a.change(a.after[-1], b.after[-1], shared)
                found.append({
                    "a": a.order, "b": b.order, "same_steps": set(a.order) == set(b.order),
                    "positions": {column: [a.order.index(column) + 1, b.order.index(column) + 1] for column in shared},
                    "metrics": {metric: _of_metric(change, place) for place, metric in enumerate(a.metrics)},
                })  # fmt: skip
    return found


def _of_metric(content: Any, place: int) -> Any:
    """Everything of one metric: lists of entries, one a metric, become that metric's entry."""
    if isinstance(content, Mapping):
        return {key: _of_metric(value, place) for key, value in content.items()}
    if isinstance(content, list) and content and isinstance(content[0], dict) and "value" in content[0]:
        return content[place]
    if isinstance(content, list):
        return [_of_metric(value, place) for value in content]
    return content


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _interval(found: Interval) -> Entry:
    return {
        "value": _number(found.value), "low": _number(found.low), "high": _number(found.high), "prompts": found.prompts,
    }  # fmt: skip


def _difference(found: Difference) -> Entry:
    return {**_interval(found.interval), "p": _number(found.p_value)}
