"""What lies in the folder of a study: the key, which raters do not need, and what they are given."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from ...core.constants import BOOTSTRAP_SEED
from ...core.errors import DetoxbenchError, missing_extra
from ...core.files import fingerprint, replacing, write_json, write_text
from ...core.parsing import parse_json
from ...core.results import Run
from ...core.scorers.base import well_formed
from . import design as designs
from .design import Design, Shown
from .page import page
from .questions import QUESTIONS
from .texts import Text, texts_of

KIND = "detoxbench annotation key"
SCHEMA_VERSION = 1
LARGEST_WORKBOOK = 200_000_000
"""Bytes, unpacked: a few kilobytes can stand for billions."""
KEY, PAGE, SHEET, WORKBOOK = "key.json", "rate.html", "rate.csv", "rate.xlsx"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that spreadsheets would compute."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What XML, and so a workbook, cannot hold."""


class Place(pydantic.BaseModel):
    """Where a text lies in the results, and what it was; see ``texts.Text``."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    run: str
    task: str
    doc_id: int
    place: int
    sha256: str

    @classmethod
    def of(cls, text: Text) -> Place:
        return cls(run=text.run, task=text.task, doc_id=text.doc_id, place=text.place, sha256=text.sha256)


class KeyItem(pydantic.BaseModel):
    """An item as shown, and what its texts are; see ``design.Item`` and ``design.Shown``."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    id: str
    repeats: str | None = None
    stratum: str = ""
    stands_for: Annotated[float, pydantic.Field(ge=1)] = 1.0
    texts: Annotated[Sequence[Place], pydantic.Field(min_length=1, max_length=2)]


class Key(pydantic.BaseModel):
    """Which text came from where, and how it was drawn."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: Literal["detoxbench annotation key"] = KIND
    schema_version: int = SCHEMA_VERSION
    study: str
    design: Design
    per_cell: int
    duplicates: float
    seed: int
    runs: Mapping[str, str]
    items: Sequence[KeyItem]


def draw(
    runs: Sequence[Run], design: Design, per_cell: int, duplicates: float = 0.1, seed: int = BOOTSTRAP_SEED
) -> tuple[Key, list[Shown]]:
    """The sample, in the order shown, and its key; the same arguments give the same.

    Raises:
        DetoxbenchError: see ``design``.
    """
    rng = np.random.default_rng(seed)
    texts = {run.path.name: texts_of(run) for run in runs}
    make = designs.draw_ratings if design == "rating" else designs.draw_pairs
    found = designs.shown(make(texts, per_cell, rng), duplicates, rng)
    items = [
        KeyItem(
            id=one.id, repeats=one.repeats, stratum=one.item.stratum, stands_for=one.item.stands_for,
            texts=[Place.of(text) for text in one.item.texts],
        )
        for one in found
    ]  # fmt: skip
    study = fingerprint([design, [item.model_dump() for item in items]])[:16]
    labels = {run.path.name: run.label for run in runs}
    return Key(
        study=study, design=design, per_cell=per_cell, duplicates=duplicates, seed=seed, runs=labels, items=items
    ), found


def write(folder: Path, key: Key, items: Sequence[Shown]) -> list[Path]:
    """The key, the page, the table, and the workbook where openpyxl is installed.

    Raises:
        DetoxbenchError: if the folder holds the key of another sample, whose answers would be lost.
    """
    old = folder / KEY
    if old.exists() and read_key(old).study != key.study:
        raise DetoxbenchError(f"'{old}' is the key of another sample: choose another folder, or remove it first")
    write_json(old, key.model_dump(mode="json"))
    write_text(folder / PAGE, page(key.study, key.design, items))
    rows = _rows(key.design, items)
    write_text(folder / SHEET, _csv(rows))
    written = [old, folder / PAGE, folder / SHEET]
    if find_spec("openpyxl"):
        _workbook(folder / WORKBOOK, key.design, rows)
        written.append(folder / WORKBOOK)
    return written


def _rows(design: Design, items: Sequence[Shown]) -> list[list[str]]:
    names = ["text"] if design == "rating" else ["first", "second"]
    head = ["id", "language", "prompt", *names, *(question.name for question in QUESTIONS[design])]
    rows = [head]
    for one in items:
        first, *_ = one.item.texts
        texts = [well_formed(text) for text in (first.prompt, *(text.text for text in one.item.texts))]
        rows.append([one.id, first.lang, *texts, *([""] * len(QUESTIONS[design]))])
    return rows


def _csv(rows: Sequence[Sequence[str]]) -> str:
    """With a byte-order mark, by which spreadsheets know UTF-8; no cell is a formula."""
    file = io.StringIO()
    csv.writer(file).writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    return "\ufeff" + file.getvalue().replace("\0", "\ufffd")


def _workbook(path: Path, design: Design, rows: Sequence[Sequence[str]]) -> None:
    """Cells are text whatever they begin with, and answers are checked as they are typed."""
    import openpyxl
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "rate"
    for at, row in enumerate(rows, 1):
        for place, value in enumerate(row, 1):
            cell = sheet.cell(at, place)
            if value:
                cell.value = _CONTROL.sub("\ufffd", value)
                cell.data_type = "s"
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if at == 1:
                cell.font = Font(bold=True)
    texts = len(rows[0]) - len(QUESTIONS[design])
    for place in range(1, len(rows[0]) + 1):
        sheet.column_dimensions[get_column_letter(place)].width = 48 if 3 <= place <= texts else 12
    for place, question in enumerate(QUESTIONS[design], texts + 1):
        most, column = len(question.answers), get_column_letter(place)
        check = DataValidation("whole", operator="between", formula1="1", formula2=str(most), allow_blank=True)
        check.prompt = f"{question.text} " + ", ".join(f"{n} {words}" for n, words in enumerate(question.answers, 1))
        check.showInputMessage = check.showErrorMessage = True
        check.error = f"A whole number from 1 to {most}, or nothing"
        sheet.add_data_validation(check)
        check.add(f"{column}2:{column}{len(rows)}")
    sheet.freeze_panes = "A2"
    with replacing(path) as partial:
        book.save(partial)


def read_key(path: Path) -> Key:
    """A key that ``write`` wrote.

    Raises:
        DetoxbenchError: if it is something else.
    """
    content = read_json(path)
    if not isinstance(content, Mapping) or content.get("kind") != KIND:
        raise DetoxbenchError(f"'{path}' is no key: give the {KEY} that detoxbench annotate wrote")
    try:
        return Key(**content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise DetoxbenchError(f"'{path}': {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def is_key(path: Path) -> bool:
    """Whether it is a key rather than somebody's answers: ``rate/*.json`` names both."""
    if path.suffix != ".json":
        return False
    content = read_json(path)
    return isinstance(content, Mapping) and content.get("kind") == KIND


def read_json(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read as JSON: {error}") from None


def workbook_rows(path: Path) -> list[list[str]]:
    """Cells of a workbook's first sheet.

    Raises:
        DetoxbenchError: without openpyxl, or for what is no workbook.
    """
    try:
        import openpyxl
    except ImportError:
        raise missing_extra("openpyxl", "xlsx", f"reading '{path.name}'") from None
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_WORKBOOK:
            raise ValueError(f"unpacked it has {size:,} bytes, more than {LARGEST_WORKBOOK:,}")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = [["" if cell is None else str(cell) for cell in row] for row in book.worksheets[0].values]
        book.close()
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise DetoxbenchError(f"'{path}' is no workbook that can be read: {error}") from None
    return rows
