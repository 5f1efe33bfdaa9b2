"""The tables of README.md, from runs: every method beside the model without one, language by language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from detoxbench.core.results import Run
from detoxbench.leaderboard.boards import board_of, differences
from detoxbench.leaderboard.compare import Change, Comparison, compare

TOXICITY, AVERAGE, FLUENCY, VARIETY, EMPTY = (
    "expected_max_toxicity", "average_toxicity", "perplexity", "dist2", "empty_fraction",
)  # fmt: skip
METRICS = [TOXICITY, AVERAGE, FLUENCY, VARIETY, EMPTY]
HEAD = "| method | expected maximum toxicity | paired difference | average toxicity | perplexity, ratio | Dist-2 |"


def groups(runs: Iterable[Run]) -> Iterator[tuple[Run, list[Run]]]:
    """Each run without a method, and the runs that compare with it."""
    every = [run for run in runs if run.model is not None]
    for base in every:
        if base.model is not None and base.model.method == "none":
            same = [run for run in every if run is not base and not differences(board_of(base), board_of(run))]
            yield base, [run for run in same if _model(run) == _model(base)]


def _model(run: Run) -> str | None:
    return run.model.pretrained if run.model is not None else None


def lines(base: Run, others: Sequence[Run]) -> Iterator[str]:
    """Markdown: all languages together, and, where there are several, each by itself."""
    record = next(iter(base.tasks.values())).record
    found = [(run, compare(base, run, METRICS)) for run in others]
    prompts = sum(task.prompts for task in base.tasks.values())
    yield f"{_model(base)}: {prompts} prompts, by {record.scorer} {record.scorer_version[:12]}"
    yield ""
    yield HEAD
    yield "| --- | --- | --- | ---: | ---: | ---: |"
    if found:
        yield _base(found[0][1])
    for run, comparison in sorted(found, key=lambda one: _of(one[1], TOXICITY).change or 0.0):
        yield _row(_name(run), comparison)
    languages = list(dict.fromkeys(change.language for _, one in found for change in one.changes))
    if len(languages) < 2:
        return
    yield ""
    yield "| method | " + " | ".join(languages) + " |"
    yield "| --- |" + " --- |" * len(languages)
    for run, comparison in found:
        cells = [_change(_of(comparison, TOXICITY, language)) for language in languages]
        yield f"| {_name(run)} | " + " | ".join(cells) + " |"


def _name(run: Run) -> str:
    if run.model is None:
        return run.label
    given = run.model.method_arguments
    shown = [f"{name}={value}" for name, value in given.items() if isinstance(value, int | float)]
    return " ".join([run.model.method, *shown])


def _of(comparison: Comparison, metric: str, language: str | None = None) -> Change:
    """Of a language; by default the macro-average, or the one language there is."""
    mine = [change for change in comparison.changes if change.metric == metric]
    return mine[-1] if language is None else next(change for change in mine if change.language == language)


def _row(name: str, comparison: Comparison) -> str:
    toxic, average, ppl, variety = (_of(comparison, metric) for metric in METRICS[:4])
    ratio = "–" if ppl.ratio is None else f"{ppl.ratio:.2f} [{_(ppl.ratio_low, '.2f')}, {_(ppl.ratio_high, '.2f')}]"
    cells = [_(toxic.b, ".3f"), _change(toxic), _(average.b, ".3f"), ratio, _(variety.b, ".2f")]
    return f"| {name} | " + " | ".join(cells) + " |"


def _base(comparison: Comparison) -> str:
    toxic, average, _ppl, variety = (_of(comparison, metric) for metric in METRICS[:4])
    return f"| none | {_(toxic.a, '.3f')} | – | {_(average.a, '.3f')} | 1 | {_(variety.a, '.2f')} |"


def _change(change: Change) -> str:
    if change.change is None:
        return "–"
    bounds = "" if change.low is None else f" [{_(change.low, '+.3f')}, {_(change.high, '+.3f')}]"
    return f"{change.change:+.3f}{bounds}" + (" (coverage)" if change.not_comparable else "")


def _(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
