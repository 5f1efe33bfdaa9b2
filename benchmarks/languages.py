"""How often the language of a text is told right, per language and number of words.

    python benchmarks/languages.py [--samples FOLDER]

Pieces of so many words (in Chinese and Japanese twice as many characters) are cut from the embedded corpus, and from
RTP-LX texts where ``FOLDER/rtp_lx_labels/*.jsonl`` is given (default: ``DETOXBENCH_SAMPLES``). ``told`` is the share
of pieces that get a language at all (``core.constants.IDENTIFIED``), ``right`` the share of these that get theirs,
``forced`` the share that is right where every piece gets the likeliest language.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from detoxbench.core.language_identification import expected, identify
from detoxbench.core.mini import corpus

LENGTHS = (1, 2, 4, 8, 16)
TEXTS = 400
UNSPACED = ("ja", "zh")


def embedded() -> dict[str, list[str]]:
    return {lang: [one.text for one in corpus.sentences(lang)] for lang in corpus.languages()}


def sampled(folder: Path) -> dict[str, list[str]]:
    found = {}
    for path in sorted(folder.glob("rtp_lx_labels/*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        found[path.stem.split("-")[0].lower()] = [json.loads(line)["text"] for line in lines]
    return found


def pieces(lang: str, texts: list[str], words: int, rng: random.Random) -> list[str]:
    """A piece of each of ``TEXTS`` texts that is long enough."""
    joiner, wanted = ("", 2 * words) if lang in UNSPACED else (" ", words)
    found = []
    for text in rng.sample(texts, len(texts)):
        units = list(text) if lang in UNSPACED else text.split()
        if len(units) >= wanted and len(found) < TEXTS:
            start = rng.randrange(len(units) - wanted + 1)
            found.append(joiner.join(units[start : start + wanted]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", default=os.environ.get("DETOXBENCH_SAMPLES"))
    given = parser.parse_args()
    sources = {"embedded corpus": embedded()}
    if given.samples:
        sources["RTP-LX"] = sampled(Path(given.samples))
    for name, texts in sources.items():
        table = Table("", *(f"{words} words: told, right, forced" for words in LENGTHS), title=name)
        sums: dict[int, list[tuple[bool, bool, bool]]] = defaultdict(list)
        for lang, own in texts.items():
            cells = []
            for words in LENGTHS:
                rng = random.Random(f"{lang}{words}")
                rows = []
                for piece in pieces(lang, own, words, rng):
                    told, forced = identify(piece), identify(piece, least=0.0)
                    rows.append((told is not None, told in expected(lang), forced in expected(lang)))
                sums[words] += rows
                cells.append(_shares(rows))
            table.add_row(lang, *cells)
        table.add_section()
        table.add_row("all", *(_shares(sums[words]) for words in LENGTHS))
        Console(width=140).print(table)


def _shares(rows: list[tuple[bool, bool, bool]]) -> str:
    if len(rows) < 20:
        return "–"
    told = sum(row[0] for row in rows)
    right = sum(row[1] for row in rows) / told if told else float("nan")
    return f"{told / len(rows):.2f}  {right:.3f}  {sum(row[2] for row in rows) / len(rows):.2f}"


if __name__ == "__main__":
    main()
