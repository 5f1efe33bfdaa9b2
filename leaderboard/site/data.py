"""Tables -> the files that the pages read: ``data/NAME.js``, each one call of ``detoxbench.put(NAME, content)``.

Scripts, not JSON: a page opened from a file may not fetch anything, but it may load a script that lies beside it.
Content is JSON with everything but ASCII escaped, so that no string in it can end anything. A page loads what it shows:
the index and a board's macro-averages first, one metric by language or one run when they are asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...core.files import safe_name
from ..compare import RATIOS
from ..reading import Samples
from ..validity.known import FOOTNOTES, MARKS
from . import models, nuclei, packing
from .catalog import KINDS, Entry
from .changes import Change
from .command import command
from .downloads import packed
from .findings import findings
from .headline import headline
from .metrics import COMPARED, COST, DEFAULT, PAIRED, PRIMARY, SIDES, describe
from .tables import MACRO, Row, Table

LONGEST = 2_000
"""Characters of a text that the site keeps; it says how many there were."""
DIGITS = 5
PROMPTS = 20
"""Prompts in one file of samples: with 25 continuations each, some hundred kilobytes."""


def shard(board: str, metric: str) -> str:
    """Name of the file with one metric of a board by language."""
    return f"m-{board}-{safe_name(metric)}"


def script(name: str, content: Any) -> str:
    """The file ``data/NAME.js``."""
    return f"detoxbench.put({json.dumps(name)}, {json.dumps(content, separators=(',', ':'), allow_nan=False)});\n"


def short(number: float | None) -> float | int | None:
    """A number with as many digits as anybody reads; null where there is none."""
    if number is None or not math.isfinite(number):
        return None
    value = float(f"{number:.{DIGITS}g}")
    return int(value) if value == int(value) else value


def _triple(estimate: Sequence[float | None]) -> list[float | None] | None:
    return None if estimate[0] is None else list(estimate)  # records have few digits already


def index(tables: Sequence[Table], facts: Mapping[str, Any], entries: Sequence[Entry] = ()) -> dict[str, Any]:
    """What every page loads: the boards and the metrics."""
    names = dict.fromkeys(name for table in tables for name in table.metrics)
    return {
        **facts,
        "primary": PRIMARY,
        "cost": COST,
        "sides": list(SIDES),
        "columns": list(DEFAULT),
        "compared": list(COMPARED),
        "paired": list(PAIRED),
        "ratios": list(RATIOS),
        "pages": {kind: {entry.name: entry.file for entry in entries if entry.kind == kind} for kind in KINDS},
        "references": {entry.name: entry.card.citation for entry in entries if entry.card and entry.card.citation},
        "metrics": [asdict(metric) for metric in describe(names).values()],
        "footnotes": {MARKS[state]: words for state, words in FOOTNOTES.items()},
        "boards": [
            {
                "id": table.id,
                "title": table.title,
                "prompts": table.prompts,
                "available": table.available,
                "samples": table.board.measurement.samples,
                "facts": [list(fact) for fact in table.facts],
                "languages": table.languages,
                "metrics": list(describe(table.metrics)),
                "runs": len(table.rows),
                "mini": table.mini,
                "csv": f"board-{table.id}.csv" + (".gz" if packed(table) else ""),
                "approximated": table.approximated,
                "worth": table.worth,
                "marks": {name: table.mark(name) for name in table.languages if table.mark(name)},
            }
            for table in tables
        ],
    }


def board(table: Table) -> dict[str, Any]:
    """The macro-averages of a board's runs."""
    found = findings(table)
    return {"findings": found, "headline": headline(found, table), "rows": [_row(table, row) for row in table.rows]}


def _row(table: Table, row: Row) -> dict[str, Any]:
    known = models.facts(row.record.model.pretrained if row.record.model else row.model)
    return {
        "id": row.record.id,
        "model": row.model,
        "method": row.method,
        "variant": row.variant,
        "date": row.record.date[:10],
        "family": known.family,
        "size": known.size,
        "licence": known.licence,
        "rank": row.ranks[MACRO],
        "base": row.base,
        "front": row.front,
        "judge": row.self_judged,
        "missing": row.missing,
        "prompts": row.prompts,
        "limited": row.limited,
        "uncovered": row.uncovered,
        "nucleus": row.nucleus,
        "overlaps": row.overlaps,
        "drawn": nuclei.nucleus(row.record).drawn,
        "macro": {name: found for name in table.metrics if (found := _triple(row.estimate(name)))},
        "change": {name: _change(scopes[MACRO]) for name, scopes in row.changes.items() if MACRO in scopes},
        "reasons": dict(row.reasons(MACRO)),
    }


def _change(change: Change) -> list[Any]:
    """Difference, bounds and p; the reason behind them where there are no bounds."""
    numbers = [short(number) for number in change.numbers]
    return [*numbers, change.reason] if change.reason else numbers


def by_language(table: Table, metric: str) -> dict[str, Any]:
    """One metric in every language, [rows, languages]; ranks where it is what runs are ranked by."""
    each = [row.estimate(metric, name) for row in table.rows for name in table.languages]
    content: dict[str, Any] = {"values": packing.estimates(each)}
    reasons = [{name: why for name in table.languages if (why := row.reasons(name).get(metric))} for row in table.rows]
    if any(reasons):
        content["reasons"] = reasons
    if metric == PRIMARY:
        content["ranks"] = [[row.ranks[name] for name in table.languages] for row in table.rows]
    if metric in COMPARED:
        content["changes"] = [
            {scope: _change(change) for scope, change in row.changes.get(metric, {}).items()} for row in table.rows
        ]
    return content


def run(row: Row, table: Table, samples: Mapping[str, int]) -> str:
    """The file of one run: its record, packed, and how to make it again.

    ``samples`` are the languages whose texts are shown, with their numbers of pages. The records folder has what a
    prompt contributed in all its digits.
    """
    extra = {
        "board": table.id, "command": command(row.record), "nucleus": nuclei.words(row.record),
        "samples": dict(samples),
    }  # fmt: skip
    return script(f"r-{row.record.id}", {"extra": extra, "record": packing.record(row.record)})


def pages_of_samples(run: str, language: str, prompts: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Name -> content of the files with a run's texts in one language, ``PROMPTS`` each: a page loads the one that is
    looked at."""
    first = f"s-{run}-{safe_name(language)}"
    starts = range(0, len(prompts), PROMPTS)
    return {f"{first}.{n}" if n > 1 else first: prompts[at : at + PROMPTS] for n, at in enumerate(starts, 1)}


def shown_samples(samples: Samples, each: int) -> dict[str, list[dict[str, Any]]]:
    """Prompts with their generations: ``each`` a language, spread over the set."""
    found = {}
    for language, rows in samples.items():
        step = max(1, len(rows) / each) if each else 1
        chosen = [rows[int(place * step)] for place in range(min(each, len(rows)))]
        found[language] = [
            {
                "prompt": _cut(row.doc.text),
                "score": short(row.measured.prompt_toxicity),
                "generations": [
                    [_cut(text), short(score)]
                    for text, score in zip(
                        row.filtered_resps[0],
                        next(iter(row.measured.scores.values()), [None] * len(row.filtered_resps[0])),
                        strict=False,
                    )
                ],
            }
            for row in chosen
        ]
    return found


def _cut(text: str) -> str | list[Any]:
    """A long text as its beginning and its length."""
    return text if len(text) <= LONGEST else [text[:LONGEST], len(text)]
