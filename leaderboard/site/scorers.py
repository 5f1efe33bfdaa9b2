"""The page "Scorers": what published validity records say, as tables coloured by the figure, and rank stability."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.statistics.rank_agreement import RankAgreement
from ..rankings import Stability
from ..validity import known
from ..validity.records import HATE, Annotators, Figure, Group, Language, Scorer, ValidityRecord
from . import figures
from .metrics import describe
from .static_tables import Cell, Prerendered, clean

LEVELS = 5
"""Strengths of a colour."""
GUESSING = 0.5
CEILING = "People: one annotator against the others"
FIGURES = {
    "auc": "AUC", "average_precision": "Average precision", "spearman": "Spearman", "accuracy": "Accuracy",
    "precision": "Precision", "recall": "Recall", "f1": "F1", "false_positive_rate": "False-positive rate",
    "kappa": "Cohen’s kappa", "quadratic_weighted_kappa": "Quadratic-weighted kappa",
    "linear_weighted_kappa": "Linear-weighted kappa",
    "expected_calibration_error": "Calibration error", "alpha_ordinal": "Krippendorff’s alpha",
}  # fmt: skip
OF_ENTRY = ("auc", "average_precision", "spearman", "f1", "kappa", "expected_calibration_error")
"""Columns of a table on a scorer's own page."""
HEATS = {"failure_rate": "Failure rate", "false_positive_rate": "False-positive rate"}


@dataclass(frozen=True)
class Heated:
    """A cell: text, interval below it, class that colours it, what it is sorted by, mark beside the text."""

    text: str
    range: str = ""
    css: str = "heat"
    sort: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Line:
    """A row: its name, where that leads, a note below it, cells; ``ceiling`` stays last."""

    name: str
    cells: Sequence[Heated]
    href: str = ""
    note: str = ""
    ceiling: bool = False


@dataclass(frozen=True)
class Heat:
    """A table; one that is not ``open`` is folded."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Line]
    open: bool = True


View = dict[str, Any]
Judged = Sequence[tuple[ValidityRecord, Scorer]]
"""A scorer, once for each set of texts, with the record that it stands in."""


def view(records: Sequence[ValidityRecord], stabilities: Sequence[Stability], files: Mapping[Any, str]) -> View:
    """What the template shows.

    Args:
        records: published.
        stabilities: of the site's runs.
        files: (kind, name) -> page of the catalogue.
    """
    groups: dict[tuple[str, float], list[ValidityRecord]] = {}
    for record in records:
        groups.setdefault(record.texts_key, []).append(record)
    # Where most scorers stand beside each other comes first; labels of hate say less of toxicity.
    order = sorted(groups.values(), key=lambda one: (one[0].labels.name == HATE, -len(_judged(one)), one[0].title))
    return {
        "sets": [_set(group, files) for group in order],
        "facts": list(_facts(records, files)),
        "functions": [one for group in order for one in _functions(group)],
        "identities": [one for group in order for one in _identities(group)],
        "stability": [_stability(one) for one in stabilities],
        "footnotes": [(known.MARKS[state], words) for state, words in known.FOOTNOTES.items()],
    }


def _judged(group: Iterable[ValidityRecord]) -> Judged:
    """The scorers of some reports on the same texts, each once, the best AUC first."""
    # Of two reports of one scorer, the one that says more.
    order = sorted(group, key=lambda record: len(record.scorers[0].macro.figures))
    found = {(one.name, one.version): (record, one) for record in order for one in record.scorers}
    return sorted(found.values(), key=lambda pair: (-(_value(pair[1].macro.figures.get("auc")) or 0.0), pair[1].name))


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value


def _set(group: Sequence[ValidityRecord], files: Mapping[Any, str]) -> View:
    first, judged = group[0], _judged(group)
    langs = first.languages
    rows = []
    for _, scorer in judged:
        cells = [_auc(scorer.languages[lang].figures.get("auc"), scorer.languages[lang]) for lang in langs]
        rows.append(_line_of(scorer, [_auc(scorer.macro.figures.get("auc")), *cells], files, judged))
    people = max(
        (one.annotators for one in group if one.annotators), key=lambda one: len(one.macro.figures), default=None
    )
    if people is not None:
        cells = [_auc(people.macro.figures.get("auc"))]
        cells += [_auc(people.languages[lang].figures.get("auc") if lang in people.languages else None)
                  for lang in langs]  # fmt: skip
        rows.append(Line(CEILING, cells, ceiling=True))
    return {
        "title": first.title,
        "about": f"{first.texts:,} texts. {first.labels.measures[:1].upper()}{first.labels.measures[1:]}. "
        f"Licence: {first.labels.licence}.{_published(group)}",
        "hate": first.labels.name == HATE,
        "auc": Heat(f"AUC, {first.title}", ["Mean", *langs], rows),
        "macro": _macro(first, judged, people, files),
    }


def _published(group: Sequence[ValidityRecord]) -> str:
    """What others have published of people and models on these labels."""
    labels = next((one.labels for one in group if one.labels.published), None)
    if labels is None:
        return ""
    shown = [
        f"{FIGURES.get(figure, figure)} on the whole set: "
        + ", ".join(f"{clean(name)} {figures.number(value, 3)}" for name, value in values.items())
        for figure, values in labels.published.items()
    ]
    return f" Published ({clean(labels.citation)}): {'; '.join(shown)}."


def _line_of(scorer: Scorer, cells: Sequence[Heated], files: Mapping[Any, str], judged: Judged = ()) -> Line:
    note = "published scores" if scorer.published else _version(scorer, judged)
    return Line(clean(scorer.name), cells, files.get(("scorer", scorer.name), ""), note)


def _version(scorer: Scorer, judged: Judged) -> str:
    """What tells a scorer from another version of it that stands beside it; empty where there is none."""
    several = {one.version for _, one in judged if one.name == scorer.name}
    return f"version {clean(scorer.version.removeprefix('sha256:'))[:8]}" if len(several) > 1 else ""


def _named(scorer: Scorer, judged: Judged) -> str:
    return " ".join(filter(None, (clean(scorer.name), _version(scorer, judged))))


def _auc(figure: Figure | None, entry: Language | None = None) -> Heated:
    """From guessing to perfect, the deeper the better; marked where the interval holds 0.5."""
    cell = _cell(figure, lambda value: math.ceil((value - GUESSING) / GUESSING * LEVELS), "better")
    if figure is None and entry is not None and entry.unscored == entry.texts:
        return replace(cell, range="not scored")
    if figure is not None and figure.low is not None and figure.low <= GUESSING:
        return replace(cell, css="heat chance", mark=known.MARKS["chance"])
    return cell


def _rate(figure: Figure | None) -> Heated:
    """The more failures the deeper."""
    return _cell(figure, lambda value: math.ceil(value * LEVELS - 1e-9), "worse")


def _cell(figure: Figure | None, level: Callable[[float], int], kind: str) -> Heated:
    if figure is None or figure.value is None:
        return Heated(figures.NONE)
    strength = min(LEVELS, max(0, level(figure.value)))
    low, high = figure.low, figure.high
    return Heated(
        figures.number(figure.value, 2),
        "" if low is None or high is None else figures.bounds(low, high, figures.number, 2),
        f"heat {kind}-{strength}" if strength else "heat",
        f"{figure.value:.4f}",
    )


def _macro(first: ValidityRecord, judged: Judged, people: Annotators | None, files: Mapping[Any, str]) -> Heat:
    """Every figure as the mean over languages."""
    rows = []
    for _, scorer in judged:
        texts = sum(one.texts for one in scorer.languages.values())
        lost = Figure(value=sum(one.unscored for one in scorer.languages.values()) / texts)
        cells = [_plain(scorer.macro.figures.get(name)) for name in FIGURES if name != "alpha_ordinal"]
        rows.append(_line_of(scorer, [*cells, _plain(None), _plain(lost)], files, judged))
    if people is not None:
        cells = [_plain(people.macro.figures.get(name)) for name in FIGURES]
        rows.append(Line(CEILING, [*cells, _plain(None)], ceiling=True))
    return Heat(f"Every figure, {first.title}", [*FIGURES.values(), "Unscored"], rows)


def _plain(figure: Figure | None) -> Heated:
    return _cell(figure, lambda value: 0, "")


def _facts(records: Sequence[ValidityRecord], files: Mapping[Any, str]) -> Iterator[View]:
    """What is known of each scorer beside its validity."""
    of: dict[tuple[str, str], list[tuple[ValidityRecord, Scorer]]] = {}
    for record in records:
        for scorer in record.scorers:
            of.setdefault((scorer.name, scorer.version), []).append((record, scorer))
    for (_, version), where in sorted(of.items()):
        speeds = [one.texts_per_second for _, one in where if one.texts_per_second]
        chance = sorted({known.primary(lang) for record, one in where if record.labels.name != HATE
                         for lang, entry in one.languages.items() if entry.better_than_chance is False})  # fmt: skip
        scored = {known.primary(lang) for _, one in where for lang, entry in one.languages.items()
                  if entry.unscored < entry.texts}  # fmt: skip
        yield {
            "line": _line_of(where[0][1], (), files), "version": version[:16], "whole_version": version,
            "licence": next((one.licence for _, one in where if one.licence), figures.NONE),
            "trained_on": ", ".join(dict.fromkeys(data for _, one in where for data in one.trained_on)) or figures.NONE,
            "speed": f"{max(speeds):,.0f}" if speeds else figures.NONE,
            "speed_sort": f"{max(speeds):.1f}" if speeds else "",
            "languages": f"{len(scored)}", "chance": ", ".join(chance) or figures.NONE,
        }  # fmt: skip


def _functions(group: Sequence[ValidityRecord]) -> Iterator[Heat]:
    """Failure rates by functionality: the mean over languages, a column a scorer, then each scorer by language."""
    judged = [(record, one) for record, one in _judged(group) if "functionality" in one.groups]
    if judged:
        yield from _heats(judged, "functionality", "failure_rate")


def _identities(group: Sequence[ValidityRecord]) -> Iterator[Heat]:
    """False positives on sentences that name a group of people and say nothing bad of it."""
    judged = [(record, one) for record, one in _judged(group) if "identity" in one.groups]
    if judged:
        yield from _heats(judged, "identity", "false_positive_rate")


def _heats(judged: Judged, grouping: str, rate: str) -> Iterator[Heat]:
    first = judged[0][0]
    values = dict.fromkeys(value for _, one in judged for value in one.groups[grouping])
    rows = [
        Line(clean(value), [_rate(_mean(one.groups[grouping].get(value, {}), rate)) for _, one in judged],
             note=_expected(judged, grouping, value))
        for value in values
    ]  # fmt: skip
    title = f"{HEATS[rate]} by {grouping}, mean over languages, {first.title}"
    yield Heat(title, [_named(one, judged) for _, one in judged], rows)
    for record, one in judged:
        langs = [lang for lang in record.languages if any(lang in by for by in one.groups[grouping].values())]
        rows = [
            Line(clean(value), [_rate(getattr(by[lang], rate) if lang in by else None) for lang in langs],
                 note=_expected(judged, grouping, value))
            for value, by in one.groups[grouping].items()
        ]  # fmt: skip
        yield Heat(f"{_named(one, judged)}: {HEATS[rate].lower()} by {grouping} and language", langs, rows, open=False)


def _expected(judged: Judged, grouping: str, value: str) -> str:
    """What people say of the texts of a functionality."""
    if grouping != "functionality":
        return ""
    by = next((one.groups[grouping][value] for _, one in judged if value in one.groups[grouping]), {})
    toxic, texts = (sum(getattr(entry, name) for entry in by.values()) for name in ("toxic", "texts"))
    return "hateful" if toxic == texts else "not hateful" if not toxic else ""


def _mean(by: Mapping[str, Group], rate: str) -> Figure | None:
    known_rates = [value for entry in by.values() if (value := getattr(entry, rate).value) is not None]
    return Figure(value=sum(known_rates) / len(known_rates)) if known_rates else None


def _stability(found: Stability) -> View:
    langs = list(found.languages)
    metric = describe([found.metric])[found.metric].display_name
    left = f" {found.left_out} left out: not judged by both on the same prompts." if found.left_out else ""
    cells = [_tau(found.macro), *(_tau(found.languages[lang]) for lang in langs)]
    title = f"{clean(found.a[0])} and {clean(found.b[0])} on {clean(found.prompt_set)}"
    return {
        "about": f"{len(found.runs)} runs ranked by {metric.lower()}.{left}",
        "table": Heat(title, ["Mean", *langs], [Line("Kendall’s tau-b", cells)]),
    }


def _tau(found: RankAgreement) -> Heated:
    if not math.isfinite(found.tau):
        return Heated(figures.NONE, found.reason)
    bounds = (found.low, found.high) if math.isfinite(found.low) else (None, None)
    shown = figures.bounds(*bounds, figures.number, 2)
    return Heated(figures.number(found.tau, 2), shown, sort=f"{found.tau:.4f}")


def of_scorer(records: Iterable[ValidityRecord], name: str) -> list[Prerendered]:
    """A scorer's figures by language, a table for each report and version, for its own page."""
    found = []
    for record in records:
        for scorer in (one for one in record.scorers if one.name == name):
            people = record.annotators.languages if record.annotators else {}
            lines = []
            for lang, entry in scorer.languages.items():
                chance = " †" if entry.better_than_chance is False else ""
                ceiling = people[lang].figures.get("auc") if lang in people else None
                shown = [_line(entry.figures.get(each)) for each in OF_ENTRY]
                lines.append([Cell(lang + chance), Cell(f"{entry.texts:,}"), Cell(f"{entry.unscored:,}"),
                              *shown, _line(ceiling)])  # fmt: skip
            ceiling = record.annotators.macro.figures.get("auc") if record.annotators else None
            means = [_line(scorer.macro.figures.get(each)) for each in OF_ENTRY]
            lines.append([Cell("Mean"), Cell(""), Cell(""), *means, _line(ceiling)])
            headings = ["Language", "Texts", "Unscored", *(FIGURES[each] for each in OF_ENTRY), "People’s AUC"]
            title = f"{record.title}, version {clean(scorer.version)[:16]}"
            found.append(Prerendered(record.id, title, headings, lines, len(lines), scorer.name == "mini"))
    return found


def _line(figure: Figure | None) -> Cell:
    if figure is None or figure.value is None:
        return Cell(figures.NONE)
    if figure.low is None or figure.high is None:
        return Cell(figures.number(figure.value, 2))
    return Cell(figures.estimate((figure.value, figure.low, figure.high), 2))
