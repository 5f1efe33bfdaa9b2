"""Translating a corpus with a sequence-to-sequence model of transformers (NLLB, M2M-100, mBART-50, Marian).

Texts are sorted by length and put into batches bounded by tokens. Every batch is written down when it is done, so that
a killed run goes on; the output appears when it is whole. Texts that are the same are translated once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from tqdm import tqdm
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from ..core.errors import DetoxbenchError
from ..core.files import make_folder, sha256_text, write_lines, write_text
from ..core.language_codes import model_code
from ..core.parsing import parse_json

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 16_384
LONGEST = 1024
"""Positions that the models are trained on, where the tokenizer does not say."""


@dataclass(frozen=True)
class Settings:
    """What a translation depends on.

    Args:
        model: folder or hub name.
        source, target: BCP-47 tags.
        num_beams: of beam search.
        max_new_tokens: of a translation.
        revision: commit or tag on the hub.
        dtype: of the weights; by default the checkpoint's.
    """

    model: str
    source: str
    target: str
    num_beams: int = 4
    max_new_tokens: int = 256
    revision: str | None = None
    dtype: str | None = None


@dataclass
class Counts:
    """Of a translation.

    Args:
        rows: of the input.
        texts: different ones that are not empty.
        before: of those, translated by an earlier run.
        cut: longer than the model reads; their end is not translated.
    """

    rows: int = 0
    texts: int = 0
    before: int = 0
    cut: int = 0


class Translator:
    """A model and its tokenizer, with the codes of both languages set.

    Raises:
        DetoxbenchError: for a model that cannot be loaded, or that does not know a language.
    """

    def __init__(self, settings: Settings, device: str | None = None):
        self.settings = settings
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        options = {"revision": settings.revision} if settings.revision else {}
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(settings.model, **options)
            model: Any = AutoModelForSeq2SeqLM.from_pretrained(
                settings.model, dtype=settings.dtype or "auto", **options
            )
        except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
            text = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DetoxbenchError(f"--model '{settings.model}' cannot be loaded for translation: {text}") from None
        self.model = model.to(self.device).eval()
        self._forced: dict[str, int] = {}
        if getattr(self.tokenizer, "src_lang", None) is not None:  # Marian's models know one pair, and no codes
            offered = [str(token) for token in self.tokenizer.all_special_tokens]
            self.tokenizer.src_lang = self._code(settings.source, offered)
            self._forced = {"forced_bos_token_id": self._id(self._code(settings.target, offered))}
        longest = min(self.tokenizer.model_max_length, LONGEST)
        self.longest = int(min(longest, getattr(model.config, "max_position_embeddings", LONGEST) or LONGEST))

    def encode(self, text: str) -> tuple[list[int], bool]:
        """Token ids of a text, and whether its end was cut off."""
        whole = self.tokenizer(text, verbose=False)["input_ids"]
        if len(whole) <= self.longest:
            return whole, False
        return self.tokenizer(text, truncation=True, max_length=self.longest)["input_ids"], True

    @torch.inference_mode()
    def translate(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Translations of some encoded texts, as one batch."""
        batch = self.tokenizer.pad({"input_ids": [list(row) for row in rows]}, return_tensors="pt").to(self.device)
        room = int(min(self.settings.max_new_tokens, self.longest - 1))
        found = self.model.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], num_beams=self.settings.num_beams,
            do_sample=False, max_new_tokens=room, **self._forced,
        )  # fmt: skip
        return [text.strip() for text in self.tokenizer.batch_decode(found, skip_special_tokens=True)]

    def _id(self, code: str) -> int:
        table = getattr(self.tokenizer, "lang_code_to_id", None) or {}
        return int(table[code] if code in table else self.tokenizer.convert_tokens_to_ids(code))

    def _code(self, tag: str, offered: list[str]) -> str:
        table = getattr(self.tokenizer, "lang_code_to_id", None) or {}
        vocabulary = self.tokenizer.get_vocab()

        def known(code: str) -> bool:
            # A word of the vocabulary may look like a code ("en"): where there is a table, it alone says.
            return code in table if table else code in vocabulary and code in offered

        return model_code(tag, known, sorted({*table, *offered}))


def translate_file(
    source: Path, out: Path, settings: Settings, *, column: str = "text", batch_tokens: int | None = None,
    device: str | None = None, progress: bool = True,
) -> Counts:  # fmt: skip
    """Translate a column of a JSONL file; every other field of a row stays.

    Args:
        source: JSONL, an object a line.
        out: the same rows with the translation in ``column``, the target's tag in ``lang`` and what it was made from in
            ``translated_from``.
        batch_tokens: texts x tokens of the longest; bounds the memory.
        device: by default a GPU where there is one.

    Raises:
        DetoxbenchError: for a row without the column, naming its line, or a model that cannot do it.
    """
    rows = read_rows(source, column)
    texts = list(dict.fromkeys(row[column] for row in rows if row[column].strip()))
    make_folder(out.parent)
    with FileLock(out.with_name(f".{out.name}.lock")):
        notes = _Notes(out.with_name(f".{out.name}.partial"), settings)
        counts = Counts(len(rows), len(texts), sum(text in notes for text in texts))
        todo = [text for text in texts if text not in notes]
        if todo:
            _translate(Translator(settings, device), todo, notes, batch_tokens, progress)
        counts.cut = sum(notes.cut(text) for text in texts)
        write_lines(out, (_translated(row, column, notes, settings) for row in rows))
        notes.path.unlink(missing_ok=True)
    return counts


def read_rows(path: Path, column: str) -> list[dict[str, Any]]:
    """Objects of a JSONL file that have a text in a column.

    Raises:
        DetoxbenchError: naming the line of one that has none.
    """
    rows = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = parse_json(line.decode("utf-8"))
                if not isinstance(row, dict) or not isinstance(row.get(column), str):
                    had = ", ".join(row) if isinstance(row, dict) else type(row).__name__
                    raise DetoxbenchError(f"'{path}', line {number}: no text in '{column}'; it has: {had}")
                rows.append(row)
    except OSError as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, DetoxbenchError):
            raise
        raise DetoxbenchError(f"'{path}', line {number}: not JSON in UTF-8: {error}") from None
    return rows


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Places of texts, longest first, so that texts x longest stays within ``tokens``; one text always fits.

    >>> list(batches([3, 9, 4], 8))
    [[1], [2, 0]]
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda at: (-lengths[at], at)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _translate(
    translator: Translator, texts: Sequence[str], notes: _Notes, batch_tokens: int | None, progress: bool
) -> None:
    encoded = [translator.encode(text) for text in texts]
    bound = batch_tokens or (GPU_BATCH_TOKENS if translator.device.type == "cuda" else CPU_BATCH_TOKENS)
    with tqdm(total=len(texts), unit="text", desc="translation", disable=not progress) as bar:
        for places in batches([len(row) for row, _ in encoded], bound):
            found = translator.translate([encoded[place][0] for place in places])
            notes.add((texts[place], text, encoded[place][1]) for place, text in zip(places, found, strict=True))
            bar.update(len(places))


def _translated(row: Mapping[str, Any], column: str, notes: _Notes, settings: Settings) -> dict[str, Any]:
    text = row[column]
    origin = {"text": text, "lang": row.get("lang", settings.source)}
    return {**row, column: notes[text] if text.strip() else text, "lang": settings.target, "translated_from": origin}


class _Notes:
    """Translations so far, one a line, under the sha256 of their text; a torn last line is dropped."""

    def __init__(self, path: Path, settings: Settings):
        self.path = path
        self._found: dict[str, tuple[str, bool]] = {}
        head = {"settings": asdict(settings)}
        good = [json.dumps(head)]
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []
        if lines and lines[0] == good[0]:
            for line in lines[1:]:
                try:
                    key, text, cut = parse_json(line)
                except ValueError:
                    break
                self._found[key] = (text, cut)
                good.append(line)
        write_text(path, (line + "\n" for line in good))

    def add(self, found: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            for text, translation, cut in found:
                self._found[_key(text)] = (translation, cut)
                file.write(json.dumps([_key(text), translation, cut]) + "\n")

    def cut(self, text: str) -> bool:
        return self._found[_key(text)][1]

    def __contains__(self, text: str) -> bool:
        return _key(text) in self._found

    def __getitem__(self, text: str) -> str:
        return self._found[_key(text)][0]


def _key(text: str) -> str:
    return sha256_text(text)[:32]
