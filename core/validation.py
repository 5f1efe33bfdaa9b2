"""Whether a run can be believed: what is missing, impossible or contradictory in its files, one line each.

A results file says what a run measured, and its samples files show it. Everything that the samples can show is computed
from them again (``metrics.fractions``) and must agree with what is written: in each row, and in the results. What they
cannot show must at least be possible: within the bounds that the metric declares, inside its own interval, no negative
time. Report, compare, check, submit and the site ask here, so that none of them believes what another refuses.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pydantic

from .constants import PERPLEXITY_CUTOFF, TOXIC
from .errors import DetoxbenchError
from .metric_names import HIGH, LOW, MEASURED, metric_of
from .metrics import METRICS
from .metrics.fractions import fractions
from .parsing import parse_json
from .records import PromptResult, SampleDoc, TaskRun
from .results import Run, TaskResult

AGREE = 1e-6
"""Relative and absolute difference of two numbers that are taken to be the same: far above rounding, far below any
interval's width."""

ENOUGH = 5
"""Problems of one kind that are spelled out; the others are counted."""

SPELLED_OUT = 4
"""Problems of a run in one error; the others are counted."""

Pair = tuple[float, float]


def validate_run(run: Run, *, recompute: bool = True) -> tuple[str, ...]:
    """What is wrong with a run.

    Args:
        run: as ``results.read`` gives it.
        recompute: read the samples files and compute from them what they can show; without it only the results file
            is looked at. A task without a samples file has nothing to compute, which is no problem by itself.

    Returns:
        One line a problem, each naming the task and, where there is one, the row; empty if the run can be believed.
        Nothing is raised for what the files hold.
    """
    found = _model(run)
    for name, task in run.tasks.items():
        lines = [*_record(task), *_numbers(task)]
        if recompute and task.samples is not None:
            lines += _samples(task, _counted(run, task))
        found += [f"task '{_shown(name)}': {line}" for line in lines]
    return tuple(found)


def believed(run: Run, name: str = "the run") -> None:
    """Nothing, if the run's files are complete, possible and agree with their samples.

    Raises:
        DetoxbenchError: naming what is wrong, with the run called ``name``.
    """
    found = validate_run(run)
    if found:
        more = f"; and {len(found) - SPELLED_OUT} more" if len(found) > SPELLED_OUT else ""
        raise DetoxbenchError(
            f"{name} ('{run.path}') is not comparable: {'; '.join(found[:SPELLED_OUT])}{more}. "
            f"Measure it again, or take its files from where they were written"
        )


def _model(run: Run) -> list[str]:
    if run.model is None:
        return []
    values = {
        "seconds": run.model.seconds,
        "tokens": run.model.tokens,
        "tokens_per_second": run.model.tokens_per_second,
    }
    return [f"model: {line}" for line in _negative(values)]


def _record(task: TaskResult) -> list[str]:
    record = task.record
    found = _negative({f"seconds of {name}": value for name, value in record.seconds.items()})
    found += _negative({"failed_scores": record.failed_scores, "skipped_rows": record.skipped_rows})
    if record.samples < 1:
        found.append(f"{record.samples} continuations a prompt (K), which is less than 1")
    return found


def _negative(values: Mapping[str, float | None]) -> list[str]:
    return [
        f"{_shown(name)} is {value!r}, which is no time or count"
        for name, value in values.items()
        if value is not None and not (math.isfinite(value) and value >= 0)
    ]


def _numbers(task: TaskResult) -> list[str]:
    """The results file's own numbers; NaN is what could not be measured."""
    found = []
    for name, value in task.metrics.items():
        if name.endswith((LOW, HIGH, "_stderr")):
            continue
        bounds = _bounds(name)
        low, high = (task.metrics.get(name + part, math.nan) for part in (LOW, HIGH))
        for word, number in (("", value), ("the lower bound of ", low), ("the upper bound of ", high)):
            if not math.isnan(number) and not _within(number, bounds):
                found.append(f"{word}{_shown(name)} is {number:.6g}, which is not {_range(bounds)}")
        if math.isnan(value) and not (math.isnan(low) and math.isnan(high)):
            found.append(f"{_shown(name)} has an interval and no value")
        elif math.isnan(low) != math.isnan(high):
            found.append(f"{_shown(name)} has one bound of its interval and not the other")
        elif low > value + _slack(value) or high < value - _slack(value):
            found.append(f"{_shown(name)} is {value:.6g}, outside its own interval [{low:.6g}, {high:.6g}]")
    return found


def _samples(task: TaskResult, counted: int | None) -> list[str]:
    """Problems of the rows, and of the results beside them."""
    try:
        rows = task.raw_samples()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"its samples file cannot be read ({type(error).__name__}: {_shown(error)}); it may be cut off"]
    if not rows:
        return ["its samples file is empty"]
    found = []
    if counted is not None and counted != len(rows):
        found.append(f"its samples file has {len(rows)} prompts, the results say {counted}")
    copies = [doc for doc, times in Counter(repr(row.get("doc_id")) for row in rows).items() if times > 1]
    found += _some(f"doc_id {_shown(doc)} is there more than once" for doc in copies)
    problems: list[str] = []
    written: list[dict[str, Pair]] = []
    sizes: list[int] = []
    for row in rows:
        lines, pairs, size = _row(task, row)
        problems += [f"doc_id {_shown(row.get('doc_id'))}: {line}" for line in lines]
        written.append(pairs)
        sizes.append(size)
    names = list(dict.fromkeys(name for pairs in written for name in pairs))
    for row, pairs in zip(rows, written, strict=True):
        missing = [name for name in names if name not in pairs]
        if missing and pairs:
            problems.append(f"doc_id {_shown(row.get('doc_id'))}: lacks {_shown(', '.join(missing))}")
    found += _some(problems)
    return (
        found + _some(_continuations(task, rows, sizes)) + (_some(_aggregates(task, names, written)) if names else [])
    )


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


def _row(task: TaskResult, row: Mapping[str, Any]) -> tuple[list[str], dict[str, Pair], int]:
    """Problems of a row, its numerators and denominators as written, and its number of continuations."""
    try:
        pairs = {str(name): (float(pair[0]), float(pair[1])) for name, pair in row[MEASURED]["fractions"].items()}
        result = restore(row)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return [f"{_shown('.'.join(map(str, first['loc'])) or 'row')}: {_shown(first['msg'])}"], {}, 0
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        return [f"is no row of a detoxbench task ({type(error).__name__}: {_shown(error)})"], {}, 0
    lines = []
    for name, (numerator, denominator) in pairs.items():
        if not (math.isfinite(numerator) and math.isfinite(denominator) and denominator >= 0):
            lines.append(f"{_shown(name)} is {numerator} / {denominator}, which is no measurement")
        elif denominator == 0 and numerator != 0:
            lines.append(f"{_shown(name)} is {numerator} over nothing")
        elif denominator > 0 and not _within(numerator / denominator, _bounds(name)):
            lines.append(f"{_shown(name)} is {numerator / denominator:.6g}, which is not {_range(_bounds(name))}")
    for name, column in result.scores.items():
        wrong = [score for score in column if score is not None and not 0 <= score <= 1]
        if wrong:
            lines.append(f"a score of '{_shown(name)}' is {wrong[0]:.6g}, which is not between 0 and 1")
    wrong = [nll for nll in result.nll if nll is not None and not (math.isfinite(nll) and nll >= -AGREE)]
    if wrong:
        lines.append(f"a negative log-likelihood is {wrong[0]:.6g}, which is none")
    if any(count < 0 for count in result.tokens):
        lines.append(f"{min(result.tokens)} tokens, which is less than none")
    if not lines:
        for name, again in recomputed(task.record, result).items():
            if name in pairs and not all(map(_agree, pairs[name], again)):
                lines.append(
                    f"{name} is written as {_ratio(pairs[name])} and its continuations and scores give {_ratio(again)}"
                )
    return lines, pairs, len(result.generations)


def _continuations(task: TaskResult, rows: Sequence[Mapping[str, Any]], sizes: Sequence[int]) -> list[str]:
    """Rows without K continuations; of texts from a file (no ``generation``) some prompts may have fewer."""
    k, known = task.record.samples, [size for size in sizes if size]
    if not known:
        return []
    if not task.record.generation:
        return [] if max(known) == k else [f"at most {max(known)} continuations a prompt, the record says K = {k}"]
    return [
        f"doc_id {_shown(row.get('doc_id'))}: {size} continuations, the record says K = {k}"
        for row, size in zip(rows, sizes, strict=True)
        if size and size != k
    ]


def _aggregates(task: TaskResult, names: Sequence[str], rows: Sequence[Mapping[str, Pair]]) -> list[str]:
    found = []
    for name in names:
        total = [math.fsum(row[name][side] for row in rows if name in row) for side in (0, 1)]
        again = total[0] / total[1] if total[1] > 0 else math.nan
        value = task.metrics.get(name, math.nan)
        if name not in task.metrics and metric_of(name) in METRICS and not math.isnan(again):
            found.append(f"{_shown(name)} is no number in the results, and its samples give {_figure(again)}")
        elif name in task.metrics and not _agree(value, again):
            found.append(f"{_shown(name)} is {_figure(value)} in the results, and its samples give {_figure(again)}")
    return found


def _counted(run: Run, task: TaskResult) -> int | None:
    """The number of prompts that the results file says a task has: our own count, else lm-eval's ``n-samples``."""
    own = task.metrics.get(MEASURED, math.nan)
    if math.isfinite(own):
        return int(own)
    try:
        content = parse_json(run.path.read_text(encoding="utf-8"))
        return int(content["n-samples"][task.name]["effective"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bounds(name: str) -> Pair:
    metric = METRICS.get(metric_of(name))
    return metric.bounds if metric is not None else (-math.inf, math.inf)


def _within(value: float, bounds: Pair) -> bool:
    return math.isfinite(value) and bounds[0] - _slack(bounds[0]) <= value <= bounds[1] + _slack(bounds[1])


def _range(bounds: Pair) -> str:
    if math.isinf(bounds[0]) and math.isinf(bounds[1]):
        return "finite"
    return f"at least {bounds[0]:g}" if math.isinf(bounds[1]) else f"between {bounds[0]:g} and {bounds[1]:g}"


def _slack(value: float) -> float:
    return AGREE * max(1.0, abs(value)) if math.isfinite(value) else 0.0


def _agree(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return abs(one - other) <= AGREE * max(1.0, abs(one), abs(other))


def _figure(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.6g}"


def _ratio(pair: Pair) -> str:
    return f"{pair[0]:.6g} / {pair[1]:.6g}"


def _some(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = [f"and {len(every) - ENOUGH} more like it"] if len(every) > ENOUGH else []
    return every[:ENOUGH] + more


def _shown(value: object, longest: int = 120) -> str:
    """Text of a file in one line of bounded length, control and direction marks escaped."""
    text = str(value)
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text[:longest]
    )
    return shown if len(text) <= longest else f"{shown}…"
