"""Paired text for fits: the same thing said in a toxic and in a neutral way, from TSV or JSONL files."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ...core.errors import DetoxbenchError
from .texts import Text, is_file_source, jsonl, reasons

PAIRS = "pairs"
"""Key of paired text among the texts that a fit is given."""
TABLES = {".tsv": "\t", ".csv": ","}


@dataclass(frozen=True)
class Pair:
    """Two texts, or two continuations of one prompt.

    Args:
        toxic, neutral: not empty, and not the same.
        prompt: read before either; may be empty.
        lang: BCP-47 tag, None where the source does not say.
    """

    toxic: str
    neutral: str
    prompt: str = ""
    lang: str | None = None


@dataclass(frozen=True)
class PairColumns:
    """Names of the fields; ``prompt`` and ``lang`` may be absent from the data.

    Where there is no column ``neutral`` but ``neutral1``, ``neutral2``, … (ParaDetox: several people's rewritings),
    each that is filled makes a pair.
    """

    toxic: str = "toxic"
    neutral: str = "neutral"
    prompt: str = "prompt"
    lang: str = "lang"


@dataclass
class Pairs:
    """Pairs that can be iterated over more than once, always in the same order.

    Args:
        sources: TSV or CSV files with a header, or JSONL files.
        columns: names of the fields.
        langs: only these languages; empty for all.

    Attributes:
        count: pairs that take part.
        bytes: of their texts, each with the prompt, in UTF-8; for estimates.
        rows_each: texts of a pair.
        sha256: of their content and order: two fits with the same one read the same pairs.
        skipped: reason -> pairs left out.

    Raises:
        DetoxbenchError: for a source that cannot be read, naming file and line, or one without any pair.
    """

    sources: Sequence[str]
    columns: PairColumns = PairColumns()
    langs: Sequence[str] = ()
    rows_each: ClassVar[int] = 2
    count: int = field(init=False, default=0)
    bytes: int = field(init=False, default=0)
    sha256: str = field(init=False, default="")
    skipped: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        skipped: dict[str, int] = {}
        for pair in self._read(skipped):
            digest.update(json.dumps(astuple(pair)).encode() + b"\n")
            self.count += 1
            self.bytes += len((2 * pair.prompt + pair.toxic + pair.neutral).encode())
        if not self.count:
            raise DetoxbenchError(f"{', '.join(map(str, self.sources))}: no pair{reasons(skipped)}")
        self.sha256, self.skipped = digest.hexdigest(), skipped

    def __iter__(self) -> Iterator[Pair]:
        return self._read({})

    def __len__(self) -> int:
        return self.count

    def record(self) -> dict[str, Any]:
        """What manifests keep: no path, since a path says nothing elsewhere."""
        names = [Path(source).name for source in map(str, self.sources)]
        return {"sources": names, "pairs": self.count, "sha256": self.sha256, "skipped": self.skipped}

    def _read(self, skipped: dict[str, int]) -> Iterator[Pair]:
        for source in map(str, self.sources):
            if not is_file_source(source):
                raise DetoxbenchError(f"'{source}' is no file: pairs come from a TSV, CSV or JSONL file")
            path = Path(source)
            rows = _table(path, TABLES[path.suffix]) if path.suffix in TABLES else jsonl(path)
            for where, row in rows:
                yield from self._pairs(row, where, skipped)

    def _pairs(self, row: Any, where: str, skipped: dict[str, int]) -> Iterator[Pair]:
        columns = self.columns
        fields = row if isinstance(row, dict) else {}
        neutral = _neutral(fields, columns.neutral)
        for name, there in ((columns.toxic, columns.toxic in fields), (columns.neutral, bool(neutral))):
            if not there:
                known = ", ".join(map(str, fields)) or type(row).__name__
                raise DetoxbenchError(f"{where}: no field '{name}'; it has: {known}")
        toxic, prompt, lang = fields[columns.toxic], fields.get(columns.prompt) or "", fields.get(columns.lang)
        for text in (toxic, prompt, *neutral):
            if not isinstance(text, str):
                raise DetoxbenchError(f"{where}: {text!r} is no text")
        filled = [text for text in neutral if text.strip()]
        reason = None
        if not toxic.strip() or not filled:
            reason = "empty"
        elif self.langs and lang not in self.langs:
            reason = "other language"
        for text in filled if reason is None else [""]:
            if reason or text.strip() == toxic.strip():
                why = reason or "both the same"
                skipped[why] = skipped.get(why, 0) + 1
            else:
                yield Pair(toxic, text, prompt, None if lang is None else str(lang))


@dataclass(frozen=True)
class MadeUp:
    """Pairs that are none: a toxic and a harmless text of one language, side by side, where no paired text is given.

    Args:
        pairs: in a fixed order.
        sides: side -> record of the texts that they are of.
    """

    pairs: Sequence[Pair]
    sides: Mapping[str, Any]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def record(self) -> dict[str, Any]:
        """What manifests keep."""
        return {"made_up": True, "pairs": len(self.pairs), **self.sides}


def pairs_of(texts: Mapping[str, Any], limit: int | None = None, seed: int = 0) -> Pairs | MadeUp:
    """The paired text among what a fit is given; without, toxic and harmless texts of the same language at random.

    Args:
        texts: ``pairs``, or ``toxic`` and ``nontoxic``.
        limit: at most so many made-up pairs; paired text is returned whole.
        seed: of what is put beside what.

    Raises:
        DetoxbenchError: where there is neither, or no language has both sides.
    """
    if PAIRS in texts:
        return texts[PAIRS]
    if not {"toxic", "nontoxic"} <= texts.keys():
        raise DetoxbenchError("nothing to fit on: give --pairs, or --toxic and --nontoxic texts")
    found = _side_by_side(texts["toxic"], texts["nontoxic"], seed)
    if not found:
        raise DetoxbenchError("no language has both toxic and non-toxic texts, so that none can be put side by side")
    record = {side: texts[side].record() for side in ("toxic", "nontoxic")}
    return MadeUp(found[:limit], record)


def taken(pairs: Iterable[Pair], count: int | None, seed: int = 0) -> list[Pair]:
    """So many pairs, at random but always the same, in their order; all where there are no more."""
    found = list(pairs)
    if count is None or count >= len(found):
        return found
    kept = sorted(random.Random(seed).sample(range(len(found)), count))
    return [found[at] for at in kept]


def _side_by_side(toxic: Iterable[Text], nontoxic: Iterable[Text], seed: int) -> list[Pair]:
    rng = random.Random(seed)
    by_lang: dict[str | None, tuple[list[str], list[str]]] = {}
    for side, texts in enumerate((toxic, nontoxic)):
        for text in texts:
            by_lang.setdefault(text.lang, ([], []))[side].append(text.text)
    columns: list[list[Pair]] = []
    for lang, (rude, clean) in by_lang.items():
        rng.shuffle(rude)
        rng.shuffle(clean)
        columns.append([Pair(one, other, "", lang) for one, other in zip(rude, clean, strict=False)])
    # By turns of the languages, so that a limit takes as many of each.
    return [pair for turn in itertools.zip_longest(*columns) for pair in turn if pair is not None]


def _neutral(fields: Mapping[str, Any], name: str) -> list[Any]:
    """The neutral texts of a row: of the column, else of the numbered ones."""
    if name in fields:
        return [fields[name] if fields[name] is not None else ""]
    numbered = itertools.takewhile(lambda one: one in fields, (f"{name}{number}" for number in itertools.count(1)))
    return [fields[one] or "" for one in numbered]


def _table(path: Path, separator: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a file with a header. In TSV a quotation mark is one; in CSV it may hold a cell together."""
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=separator, quoting=quoting, restval="")
            again = [name for name, times in Counter(reader.fieldnames or ()).items() if times > 1]
            if again:
                raise csv.Error(f"two columns have the name '{again[0]}'")
            for row in reader:
                cells = {str(key): value for key, value in row.items() if key is not None}
                yield f"{path}, line {reader.line_num}", cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise DetoxbenchError(f"{path}: no table in UTF-8: {error}") from None
