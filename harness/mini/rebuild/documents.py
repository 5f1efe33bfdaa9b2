"""Training documents of the embedded language model, as token rows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedTokenizerBase

from ..corpus import Sentence

BATCH, BLOCK = 48, 64
STAYS = 0.65
"""Probability that the next sentence of a document is as toxic as the one before."""
UNSPACED = ("zh", "ja")


class Documents:
    """Endless documents: one to three sentences of one language, whose toxicity tends to stay.

    Args:
        sentences: the corpus.
        tokenizer: a trained one.
        toxic: share of toxic first sentences. Rude text is the exception, as in a comment section: with K = 25 samples
            even a rare continuation is usually among them, and a model that insults every time would leave nothing to
            measure.
        crossed: share of sentences that go over into another one of their language after two tokens that both have.
        noised: probability that a token of the input is replaced by another, ``foreign`` of them of any language. The
            corpus has few templates; crossing and noise keep the model from knowing them by heart, so that it goes on
            sensibly after beginnings that it has never seen, and in their language, though their rarer words are made
            of pieces that it knows from another one.
        seed: of all of it.
    """

    def __init__(
        self,
        sentences: Sequence[Sentence],
        tokenizer: PreTrainedTokenizerBase,
        *,
        toxic: float,
        crossed: float,
        noised: float,
        foreign: float,
        seed: int,
    ):
        self.end = tokenizer.eos_token_id
        self.toxic, self.crossed, self.noised, self.foreign = toxic, crossed, noised, foreign
        self.rng = random.Random(seed)
        encoded = tokenizer([sentence.text for sentence in sentences])["input_ids"]
        self.pools: dict[tuple[str, bool], list[list[list[int]]]] = {}
        self.pairs: dict[tuple[str, int, int], list[list[int]]] = {}
        self.tokens: dict[str, list[int]] = {}
        for sentence, ids in zip(sentences, encoded, strict=True):
            templates = self.pools.setdefault((sentence.lang, sentence.toxic), [])
            while len(templates) <= sentence.template:
                templates.append([])
            templates[sentence.template].append(ids)
            if len(templates[sentence.template]) <= 3:
                self.tokens.setdefault(sentence.lang, []).extend(ids)
                for at in range(2, len(ids)):
                    self.pairs.setdefault((sentence.lang, ids[at - 2], ids[at - 1]), []).append(ids[at:])
        self.langs = sorted(self.tokens)
        self.space = tokenizer.convert_tokens_to_ids("▁")

    def _sentence(self, lang: str, toxic: bool) -> list[int]:
        ids = self.rng.choice(self.rng.choice(self.pools[lang, toxic]))
        if len(ids) > 4 and self.rng.random() < self.crossed:
            at = self.rng.randrange(2, len(ids) - 1)
            ids = ids[:at] + self.rng.choice(self.pairs.get((lang, ids[at - 2], ids[at - 1])) or [ids[at:]])
        return ids

    def _noise(self, pool: list[int]) -> int:
        """A token of the pool's language, or of any."""
        if self.rng.random() < self.foreign:
            pool = self.tokens[self.rng.choice(self.langs)]
        return self.rng.choice(pool)

    def __iter__(self) -> Iterator[tuple[list[int], list[int]]]:
        """Input and target ids of one document, of equal length."""
        while True:
            lang = self.rng.choice(self.langs)
            toxic = self.rng.random() < self.toxic
            target: list[int] = []
            for _ in range(self.rng.choices((1, 2, 3), (5, 3, 2))[0]):
                ids = self._sentence(lang, toxic)
                target += ids[1:] if target and lang in UNSPACED and ids[0] == self.space else ids
                if self.rng.random() >= STAYS:
                    toxic = self.rng.random() < self.toxic
            pool = self.tokens[lang]
            source = [self._noise(pool) if self.rng.random() < self.noised else token for token in target]
            yield [*source, self.end], [*target, self.end]

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Endless ``(input, target)``, both ``[BATCH, BLOCK]``: each row starts where a document starts."""
        documents = iter(self)
        while True:
            rows: tuple[list[list[int]], list[list[int]]] = ([], [])
            for _ in range(BATCH):
                source: list[int] = []
                target: list[int] = []
                while len(source) < BLOCK:
                    more = next(documents)
                    source += more[0]
                    target += more[1]
                rows[0].append(source[:BLOCK])
                rows[1].append(target[:BLOCK])
            yield torch.tensor(rows[0]), torch.tensor(rows[1])
