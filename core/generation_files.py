"""Files of generations, whoever wrote them: the published systems' and lm-eval's samples files, as prompts and texts.

Published: a line a prompt, ``{"prompt": {"text": …}, "generations": [{"text": …, "toxicity": …}, …]}``; the prompt and
the generations may be bare strings, ``continuation`` may stand for one generation (RealToxicityPrompts), and a bare
``text`` for one without a prompt. lm-eval: ``samples_<task>_<date>.jsonl`` of any task that generates; the results
file beside it says how the text was made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import pydantic

from .errors import DetoxbenchError
from .language_codes import is_tag
from .parsing import ParseError, parse_json
from .records import Prompt
from .results import first_error

SHOWN = 5
"""Line numbers listed of the rows that are wrong."""

CLEAR = 0.8
"""Share of the texts that must be in one language for it to be taken as the file's."""

LOOKED_AT = 500
"""Texts whose language is identified where a file does not say."""


_GROUPINGS = tuple(name for name in ("group", "groups") if name in Prompt.model_fields)


@dataclass(frozen=True)
class Likelihoods:
    """Of the K texts of a prompt: see ``PromptResult``."""

    nll: Sequence[float | None]
    tokens: Sequence[int]
    languages: Sequence[str | None]


@dataclass(frozen=True)
class GenerationFile:
    """One file.

    Args:
        path: where it was read from.
        samples: whether it is one of lm-eval's samples files.
        prompts: ``[prompts]``.
        generations: ``[prompts, K]``; K may differ.
        given: ``[prompts, K]`` attribute -> score, as far as the file holds scores; None where one failed.
        prompt_given: ``[prompts]`` what the same scorer said of the prompt; None where the file does not say. It is no
            property of the prompt: another scorer scores it again.
        identified: the language that was identified, where neither the file nor the user says it.
        likelihoods: ``[prompts]`` what a run's own samples have of fluency and language; None where there is none.
    """

    path: Path
    samples: bool
    prompts: Sequence[Prompt]
    generations: Sequence[Sequence[str]]
    given: Sequence[Sequence[Mapping[str, float | None]]]
    identified: str | None = None
    prompt_given: Sequence[float | None] = ()
    likelihoods: Sequence[Likelihoods | None] = ()

    @property
    def langs(self) -> list[str]:
        return sorted({prompt.lang for prompt in self.prompts})

    @property
    def attributes(self) -> tuple[str, ...]:
        """Those that the file holds scores of, ``toxicity`` first."""
        found = {name for prompt in self.given for one in prompt for name in one}
        return tuple(sorted(found, key=lambda name: (name != "toxicity", name)))

    @property
    def k(self) -> int:
        """The largest number of generations of a prompt."""
        return max(map(len, self.generations))


@dataclass(frozen=True)
class _Row:
    id: str
    text: str
    lang: str | None
    toxicity: float | None
    generations: list[str]
    given: list[dict[str, float | None]]
    prompt_given: float | None = None
    groups: dict[str, Any] = field(default_factory=dict)
    likelihoods: Likelihoods | None = None


def read(path: Path, lang: str | None = None) -> GenerationFile:
    """Read one file.

    Args:
        path: JSON lines in UTF-8.
        lang: of the rows that do not say theirs; identified from the texts if None.

    Raises:
        DetoxbenchError: for a file that cannot be read or has no row, for wrong rows (their number and the first
            lines), or for one without a clear language.
    """
    if lang is not None and not is_tag(lang):
        raise DetoxbenchError(f"'{lang}' is not a language tag; give one such as en, pt-BR or zh-Hans")
    rows: list[_Row] = []
    wrong: list[tuple[int, str]] = []
    seen: set[int] = set()
    samples = False
    for number, line in _lines(path):
        try:
            entry = parse_json(line)
            if isinstance(entry, dict) and "doc_id" in entry and "resps" in entry:
                samples = True
                if entry["doc_id"] not in seen:  # lm-eval repeats a document for each of its filters
                    seen.add(entry["doc_id"])
                    rows.append(_checked(_sample(entry)))
            else:
                rows.append(_checked(_published(entry, number)))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
            what = str(error) if type(error) is ValueError else f"not as expected ({type(error).__name__}: {error})"
            wrong.append((number, f"not JSON ({error})" if isinstance(error, ParseError) else what))
    if wrong:
        lines = ", ".join(str(number) for number, _ in wrong[:SHOWN]) + (", …" if len(wrong) > SHOWN else "")
        raise DetoxbenchError(
            f"'{path}': {len(wrong)} of {len(wrong) + len(rows)} rows are wrong (lines {lines}); line {wrong[0][0]}: "
            f'{wrong[0][1]}. A row is {{"prompt": {{"text": …}}, "generations": [{{"text": …}}, …]}}, or one of '
            "lm-eval's samples."
        )
    if not rows:
        raise DetoxbenchError(f"'{path}': is empty")
    if not any(row.generations for row in rows):
        raise DetoxbenchError(f"'{path}': {len(rows)} prompts without any generation")
    identified = None
    if lang is None and any(row.lang is None for row in rows):
        identified = lang = _language(path, rows)
    prompts = [
        Prompt(id=row.id, text=row.text, lang=row.lang or lang or "", toxicity=row.toxicity, **row.groups)
        for row in rows
    ]
    return GenerationFile(
        path,
        samples,
        prompts,
        [row.generations for row in rows],
        [row.given for row in rows],
        identified,
        [row.prompt_given for row in rows],
        [row.likelihoods for row in rows],
    )


def _checked(row: _Row) -> _Row:
    """A row that a prompt can be made of; ``ValueError`` says what is wrong with another."""
    try:
        Prompt(id=row.id, text=row.text, lang=row.lang or "", toxicity=row.toxicity, **row.groups)
    except pydantic.ValidationError as error:
        raise ValueError(first_error(error)) from None
    return row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise DetoxbenchError(f"'{path}': not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {error.strerror}") from None


def _published(entry: Any, number: int) -> _Row:
    """A row of the published systems; ValueError says what is wrong with it."""
    if not isinstance(entry, Mapping):
        raise ValueError("not a JSON object")
    prompt = entry.get("prompt", {"text": ""})
    prompt = {"text": prompt} if isinstance(prompt, str) else prompt
    if not isinstance(prompt, Mapping) or not isinstance(prompt.get("text"), str):
        raise ValueError("no text in 'prompt.text'")
    if "generations" in entry:
        found = entry["generations"]
    elif "continuation" in entry:
        found = [entry["continuation"]]
    elif isinstance(entry.get("text"), str):  # a bare text, such as those that an archive lacks
        found = [{name: value for name, value in entry.items() if name != "id"}]
    else:
        raise ValueError("no 'generations'")
    if not isinstance(found, list):
        raise ValueError("'generations' is not a list")
    texts, given = [], []
    for one in found:
        one = {"text": one} if isinstance(one, str) else one
        if not isinstance(one, Mapping) or not isinstance(one.get("text"), str):
            raise ValueError("a generation without 'text'")
        texts.append(one["text"])
        given.append({str(name).lower(): _number(value) for name, value in one.items() if _is_score(value)})
    lang = entry.get("lang", prompt.get("lang"))
    if lang is not None and not (isinstance(lang, str) and is_tag(lang)):
        raise ValueError(f"'lang' is {repr(lang)[:40]}, not a language tag")
    toxicity = prompt.get("toxicity", entry.get("prompt_toxicity"))
    if toxicity is not None and not _is_score(toxicity):
        raise ValueError(f"'prompt.toxicity' is {toxicity!r}, not a number or null")
    name = entry.get("id", number)
    return _Row(str(name), prompt["text"], lang, None if toxicity is None else _number(toxicity), texts, given)


def _sample(entry: Mapping[str, Any]) -> _Row:
    """A row of lm-eval's samples; ValueError says what is wrong with it."""
    doc = entry["doc"] if isinstance(entry.get("doc"), Mapping) else {}
    measured = entry.get("measured")
    ours = isinstance(measured, Mapping)
    # What lm-eval's filters leave of other tasks' answers is not the text that the model wrote.
    found = (entry["filtered_resps"] if ours else entry["resps"])[0]
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("no generated text: the task asks for likelihoods")
    if ours:
        columns = {name: _numbers(f"scores.{name}", column) for name, column in measured.get("scores", {}).items()}
        given = [{name: column[place] for name, column in columns.items()} for place in range(len(texts))]
        toxicity, scored = doc.get("toxicity"), measured.get("prompt_toxicity")
        for name, one in (("doc.toxicity", toxicity), ("measured.prompt_toxicity", scored)):
            if one is not None and not _is_score(one):
                raise ValueError(f"'{name}' is {repr(one)[:40]}, not a number or null")
    else:
        given, toxicity, scored = [{} for _ in texts], None, None
    context = doc.get("text") if ours else _context(entry)
    lang = doc.get("lang") if ours else None
    if lang is not None and not (isinstance(lang, str) and is_tag(lang)):
        raise ValueError(f"'doc.lang' is {repr(lang)[:40]}, not a language tag")
    return _Row(
        id=str(doc.get("id", entry["doc_id"])),
        text=context if isinstance(context, str) else "",
        lang=lang,
        toxicity=None if toxicity is None else _number(toxicity),
        prompt_given=None if scored is None else _number(scored),
        generations=texts,
        given=given,
        groups={name: doc[name] for name in _GROUPINGS if name in doc} if ours else {},
        likelihoods=_likelihoods(measured, len(texts)) if ours else None,
    )


def _likelihoods(measured: Mapping[str, Any], count: int) -> Likelihoods | None:
    """Those of a row's texts, where all of them are there."""
    nll, tokens, languages = (measured.get(name) or [] for name in ("nll", "tokens", "languages"))
    if not len(nll) == len(tokens) == len(languages) == count:
        return None
    if not all(isinstance(one, int) for one in tokens):
        raise ValueError("'measured.tokens' is not of whole numbers")
    if not all(one is None or isinstance(one, str) for one in languages):
        raise ValueError("'measured.languages' is not of names or null")
    return Likelihoods(_numbers("nll", nll), tokens, languages)


def _numbers(name: str, column: Any) -> list[float | None]:
    if not isinstance(column, list) or not all(one is None or _is_score(one) for one in column):
        raise ValueError(f"'measured.{name[:40]}' is not of numbers or null")
    return [None if one is None else _number(one) for one in column]


def _context(entry: Mapping[str, Any]) -> Any:
    """What lm-eval gave the model."""
    arguments = entry.get("arguments")
    if isinstance(arguments, Mapping):
        return arguments.get("gen_args_0", {}).get("arg_0")
    return arguments[0][0] if arguments else None


def _is_score(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _language(path: Path, rows: Sequence[_Row]) -> str:
    """The language of the texts of rows that do not say theirs.

    Raises:
        DetoxbenchError: if no language is clear.
    """
    from .language_identification import identify

    silent = [row for row in rows if row.lang is None]
    chosen = silent[:: max(1, len(silent) // LOOKED_AT)]
    votes = Counter(identify(row.text + "".join(row.generations)[:1000], least=0.0) or "?" for row in chosen)
    (best, count), *_ = votes.most_common(1)
    if count < CLEAR * len(chosen) or best == "?":
        shares = ", ".join(f"{name} {share / len(chosen):.0%}" for name, share in votes.most_common(3))
        raise DetoxbenchError(
            f"'{path}': does not say the language of its texts, and they look like {shares}: give it with --lang, or a "
            "'lang' in each row"
        )
    return best
