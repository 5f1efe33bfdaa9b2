"""What raters answered: read from the page's JSON, or from the table or workbook that they filled in."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DetoxbenchError
from . import page
from .files import Key, is_key, read_json, workbook_rows
from .questions import QUESTIONS, Question


@dataclass(frozen=True)
class Rater:
    """One rater's answers.

    Args:
        name: as given, or the file's name.
        answers: item's id -> question's name -> answer; skipped items and open questions are left out.
        skipped: how many items were skipped.
    """

    name: str
    answers: Mapping[str, Mapping[str, int]]
    skipped: int


def read_all(paths: Iterable[Path], key: Key) -> list[Rater]:
    """Every rater's answers; a key among the files is left aside.

    Raises:
        DetoxbenchError: for answers to another sample, an answer that is none, two raters of one name, no rater at all.
    """
    raters = [_read(path, key) for path in paths if not is_key(path)]
    if not raters:
        raise DetoxbenchError("no answers among these files: give the JSON that raters saved, or their filled-in table")
    names = [rater.name for rater in raters]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DetoxbenchError(f"two raters are called '{min(twice)}': leave out the copy, or change the name in it")
    if not any(rater.answers for rater in raters):
        raise DetoxbenchError("nobody has answered anything in these files")
    return raters


def _read(path: Path, key: Key) -> Rater:
    if path.suffix == ".json":
        return _from_page(path, key)
    if path.suffix == ".xlsx":
        return _from_rows(path, workbook_rows(path), key)
    if path.suffix == ".csv":
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                return _from_rows(path, list(csv.reader(file)), key)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DetoxbenchError(f"'{path}' cannot be read as CSV in UTF-8: {error}") from None
    raise DetoxbenchError(f"'{path}': answers are .json files that the page saved, or .csv or .xlsx files filled in")


def _from_page(path: Path, key: Key) -> Rater:
    content = read_json(path)
    if not isinstance(content, Mapping) or content.get("kind") != page.KIND:
        raise DetoxbenchError(f"'{path}' is not what the page of detoxbench annotate saves")
    if content.get("study") != key.study:
        raise DetoxbenchError(f"'{path}' has answers to sample {content.get('study')}, the key is of {key.study}")
    given = content.get("answers")
    if not isinstance(given, Mapping) or not all(isinstance(one, Mapping) for one in given.values()):
        raise DetoxbenchError(f"'{path}': 'answers' must hold the answers to each text")
    skipped = sum(1 for one in given.values() if one.get("skipped"))
    kept = {name: one for name, one in given.items() if not one.get("skipped")}
    return Rater(str(content.get("rater") or path.stem), _checked(path, kept, key), skipped)


def _from_rows(path: Path, rows: Sequence[Sequence[str]], key: Key) -> Rater:
    names = [question.name for question in QUESTIONS[key.design]]
    head = list(rows[0]) if rows else []
    if missing := [name for name in ("id", *names) if name not in head]:
        raise DetoxbenchError(f"'{path}': no column '{missing[0]}'; it needs id, {', '.join(names)}")
    if again := [name for name in ("id", *names) if head.count(name) > 1]:
        raise DetoxbenchError(f"'{path}': two columns have the name '{again[0]}'")
    given: dict[str, dict[str, Any]] = {}
    for row in rows[1:]:
        cells = dict(zip(head, row, strict=False))
        found = {name: cells[name].strip() for name in names if cells.get(name, "").strip()}
        if found and cells["id"] in given:
            raise DetoxbenchError(f"'{path}': two rows answer the text '{cells['id']}': keep one")
        if found:
            given[cells["id"]] = found
    return Rater(path.stem, _checked(path, given, key), 0)


def _checked(path: Path, given: Mapping[str, Mapping[str, Any]], key: Key) -> dict[str, dict[str, int]]:
    known = {item.id for item in key.items}
    questions = {question.name: question for question in QUESTIONS[key.design]}
    found: dict[str, dict[str, int]] = {}
    for name, answers in given.items():
        if name not in known:
            raise DetoxbenchError(f"'{path}': the key has no text '{name}'")
        for question, answer in answers.items():
            if question not in questions:
                raise DetoxbenchError(f"'{path}', {name}: no question '{question}'; there are {', '.join(questions)}")
            found.setdefault(name, {})[question] = _answer(path, name, questions[question], answer)
    return found


def _answer(path: Path, name: str, question: Question, answer: Any) -> int:
    try:
        number = math.nan if isinstance(answer, bool) else float(answer)
    except (TypeError, ValueError):
        number = math.nan
    most = len(question.answers)
    if number not in range(1, most + 1):
        raise DetoxbenchError(f"'{path}', {name}: {question.name} is {answer!r}; allowed are whole numbers 1 to {most}")
    return int(number)


def matrix(raters: Sequence[Rater], ids: Sequence[str], question: str) -> np.ndarray:
    """float64 [ids, raters], NaN where one has not answered."""
    rows = [[rater.answers.get(name, {}).get(question, math.nan) for rater in raters] for name in ids]
    return np.array(rows, dtype=float).reshape(len(ids), len(raters))
