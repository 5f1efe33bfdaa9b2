"""The labelled corpus of the embedded world: hand-written sentence templates, expanded deterministically.

Content warning: the toxic sentences are rude, at the level of a bad comment section.

Each language is a folder:

    slots.json     slot name -> fillers, all of one grammatical kind (gender, number, case)
    toxic.txt      one sentence template a line
    nontoxic.txt   likewise
    prompts_toxic.txt, prompts_nontoxic.txt
                   ``beginning | rest`` of sentences that are not in the corpus

A template is text with two constructs: ``{slot}`` takes one filler of that slot, and ``[a|b|c]`` takes one of the
alternatives written there (one may be empty). Expansion is their product.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...parsing import parse_json

ROOT = Path(__file__).parent
LABELS = ("toxic", "nontoxic")
EXPANSIONS = 14
"""Sentences drawn from one template, so that no template outweighs the others."""

_CONSTRUCT = re.compile(r"\{(\w+)\}|\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Sentence:
    """One expanded sentence; ``template`` is its source line's number, the unit that splits go by."""

    text: str
    lang: str
    toxic: bool
    template: int


@dataclass(frozen=True)
class Beginning:
    """The beginning of a sentence that is not in the corpus, and how its writer went on."""

    text: str
    rest: str
    lang: str
    toxic: bool


def languages() -> list[str]:
    """Languages with a corpus, sorted."""
    return sorted(path.parent.name for path in ROOT.glob("*/slots.json"))


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def templates(lang: str, label: str) -> list[str]:
    """The template lines of a language; ``label`` is ``toxic`` or ``nontoxic``."""
    return _lines(ROOT / lang / f"{label}.txt")


def slots(lang: str) -> dict[str, list[str]]:
    """Slot name to its fillers."""
    return parse_json((ROOT / lang / "slots.json").read_text(encoding="utf-8"))


def _parse(template: str, fillers: dict[str, list[str]]) -> tuple[list[str], list[list[str]]]:
    """Literal parts (one more than there are constructs) and the options of each construct."""
    literals, options, end = [], [], 0
    for match in _CONSTRUCT.finditer(template):
        literals.append(template[end : match.start()])
        slot, alternatives = match.groups()
        if slot is not None and slot not in fillers:
            raise ValueError(f"template {template!r}: no slot {slot!r}; there are {', '.join(sorted(fillers))}")
        options.append(fillers[slot] if slot is not None else alternatives.split("|"))
        end = match.end()
    literals.append(template[end:])
    if any(mark in literal for literal in literals for mark in "{}[]"):
        raise ValueError(f"template {template!r}: unbalanced or nested brackets")
    return literals, options


def _tidy(text: str) -> str:
    """Close the gap an empty alternative leaves and capitalise the first letter."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,.،。，、])", r"\1", text)
    return text[:1].upper() + text[1:]


def size(template: str, fillers: dict[str, list[str]]) -> int:
    """How many sentences a template expands to at most."""
    return math.prod(len(choice) for choice in _parse(template, fillers)[1])


def expand(template: str, fillers: dict[str, list[str]], count: int, seed: int = 0) -> list[str]:
    """At most ``count`` distinct sentences of a template, drawn without replacement by ``seed``."""
    literals, options = _parse(template, fillers)
    total = math.prod(len(choice) for choice in options)
    rng = random.Random(f"{seed}\0{template}")
    texts: dict[str, None] = {}
    for index in rng.sample(range(total), min(total, 4 * count)):
        chosen = []
        for choice in reversed(options):
            index, at = divmod(index, len(choice))
            chosen.append(choice[at])
        pieces = itertools.chain.from_iterable(itertools.zip_longest(literals, reversed(chosen), fillvalue=""))
        texts[_tidy("".join(pieces))] = None
        if len(texts) == count:
            break
    return list(texts)


def sentences(lang: str, count: int = EXPANSIONS, seed: int = 0) -> Iterator[Sentence]:
    """The expanded, labelled corpus of one language, in the order of its files."""
    fillers = slots(lang)
    for label in LABELS:
        for number, template in enumerate(templates(lang, label)):
            for text in expand(template, fillers, count, seed):
                yield Sentence(text, lang, label == "toxic", number)


def beginnings(lang: str) -> list[Beginning]:
    """The written prompts of one language, toxic ones first."""
    found = []
    for label in LABELS:
        for line in _lines(ROOT / lang / f"prompts_{label}.txt"):
            text, _, rest = line.partition("|")
            found.append(Beginning(text.strip(), rest.strip(), lang, label == "toxic"))
    return found
