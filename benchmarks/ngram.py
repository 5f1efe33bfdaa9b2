"""Texts a second of processor time of the embedded n-gram scorer, which uses one core: ``python benchmarks/ngram.py``.

Texts are the sentences of the embedded corpus, in all its languages, repeated until there are enough.
"""

from __future__ import annotations

import time

from detoxbench.core import scorers
from detoxbench.core.mini import corpus

TEXTS = 20_000
ROUNDS = 5


def sentences(lang: str) -> list[str]:
    found = [one.text for one in corpus.sentences(lang)]
    return (found * (TEXTS // len(found) + 1))[:TEXTS]


def main() -> None:
    scorer = scorers.load("ngram")
    start = time.perf_counter()
    scorer.score(["one"], "en")
    print(f"loading: {time.perf_counter() - start:.2f} s")
    print("language  characters  texts a second")
    for lang in sorted(scorer.languages & set(corpus.languages())):
        texts = sentences(lang)
        best = min(_seconds(scorer, texts, lang) for _ in range(ROUNDS))
        print(f"{lang:8}  {sum(map(len, texts)) / len(texts):10.0f}  {len(texts) / best:14,.0f}")


def _seconds(scorer: scorers.Scorer, texts: list[str], lang: str) -> float:
    start = time.process_time()
    scorer.score(texts, lang)
    return time.process_time() - start


if __name__ == "__main__":
    main()
