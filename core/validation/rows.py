"""A row of a samples file: what was measured of a prompt, and whether its numbers follow from that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pydantic

from ..constants import PERPLEXITY_CUTOFF, TOXIC
from ..metric_names import MEASURED
from ..metrics.fractions import fractions
from ..records import PromptResult, SampleDoc, TaskRun
from ..results import TaskResult
from .wording import AGREE, Pair, agree, bounds_of, range_of, ratio_of, shown, within


def restore(row: Mapping[str, Any]) -> PromptResult:
    """What was measured of one prompt, from a row of a samples file.

    Raises:
        KeyError, TypeError, ValueError: if it is no such row.
    """
    measured = {name: row[MEASURED][name] for name in PromptResult.model_fields if name in row[MEASURED]}
    prompt = SampleDoc(**row["doc"]).prompt(row[MEASURED].get("prompt_toxicity"))
    return PromptResult(prompt=prompt, generations=row["filtered_resps"][0], **measured)


def computes_alike(record: TaskRun) -> bool:
    """Whether a task's numbers were computed with the thresholds that this version computes with."""
    own = {"toxic": TOXIC, "perplexity_cutoff": PERPLEXITY_CUTOFF}
    return all(record.constants.get(name, value) == value for name, value in own.items())


def recomputed(record: TaskRun, result: PromptResult) -> Mapping[str, Pair]:
    """Every metric of a prompt, from its continuations and what was measured of them; none of a task whose thresholds
    this version does not compute with. Whoever judges a run and whoever compares two compute by this."""
    return fractions(result, record.samples) if computes_alike(record) else {}


def row_problems(task: TaskResult, row: Mapping[str, Any]) -> tuple[list[str], dict[str, Pair], int]:
    """Problems of a row, its numerators and denominators as written, and its number of continuations."""
    try:
        pairs = {str(name): (float(pair[0]), float(pair[1])) for name, pair in row[MEASURED]["fractions"].items()}
        result = restore(row)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return [f"{shown('.'.join(map(str, first['loc'])) or 'row')}: {shown(first['msg'])}"], {}, 0
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        return [f"is no row of a detoxbench task ({type(error).__name__}: {shown(error)})"], {}, 0
    lines = []
    for name, (numerator, denominator) in pairs.items():
        if not (math.isfinite(numerator) and math.isfinite(denominator) and denominator >= 0):
            lines.append(f"{shown(name)} is {numerator} / {denominator}, which is no measurement")
        elif denominator == 0 and numerator != 0:
            lines.append(f"{shown(name)} is {numerator} over nothing")
        elif denominator > 0 and not within(numerator / denominator, bounds_of(name)):
            lines.append(f"{shown(name)} is {numerator / denominator:.6g}, which is not {range_of(bounds_of(name))}")
    for name, column in result.scores.items():
        wrong = [score for score in column if score is not None and not 0 <= score <= 1]
        if wrong:
            lines.append(f"a score of '{shown(name)}' is {wrong[0]:.6g}, which is not between 0 and 1")
    wrong = [nll for nll in result.nll if nll is not None and not (math.isfinite(nll) and nll >= -AGREE)]
    if wrong:
        lines.append(f"a negative log-likelihood is {wrong[0]:.6g}, which is none")
    if any(count < 0 for count in result.tokens):
        lines.append(f"{min(result.tokens)} tokens, which is less than none")
    if not lines:
        for name, again in recomputed(task.record, result).items():
            if name in pairs and not all(map(agree, pairs[name], again)):
                said, computed = ratio_of(pairs[name]), ratio_of(again)
                lines.append(f"{name} is written as {said} and its continuations and scores give {computed}")
    return lines, pairs, len(result.generations)
