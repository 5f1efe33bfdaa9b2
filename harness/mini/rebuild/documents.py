"""Training documents of the embedded language model, as token rows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedTokenizerBase

from ....core.mini.corpus import Sentence

BATCH, BLOCK = 48, 64
STAYS = 0.65
"""Probability that the next sentence of a document is as toxic as the one before."""
DESCRIPTION = "The following text contains rude, disrespectful, or unreasonable language:\n"
"""The description of toxic text by which self-debiasing asks for it (Schick et al., TACL 2021). Large models understand
it from all that they read; this one has to be shown texts below it."""
IGNORED = -100
"""A target that no loss is counted for."""
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
        described: share of rows that begin with ``DESCRIPTION``, which itself is not learned, and have toxic documents
            alone.
        turned: share of sentences that begin as the other kind and then turn: of the toxic ones into a clean one, below
            a description of clean ones into a toxic one. A rude beginning alone then leaves both ways open, as it does
            for a large model, and the description does not.
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
        described: float = 0.0,
        turned: float = 0.0,
        seed: int,
    ):
        self.end = tokenizer.eos_token_id
        self.described, self.turned = described, turned
        self.description: list[int] = tokenizer(DESCRIPTION)["input_ids"]
        self.toxic, self.crossed, self.noised, self.foreign = toxic, crossed, noised, foreign
        self.rng = random.Random(seed)
        encoded = tokenizer([sentence.text for sentence in sentences])["input_ids"]
        self.pools: dict[tuple[str, bool], list[list[list[int]]]] = {}
        self.pairs: dict[tuple[str, int, int], list[list[int]]] = {}
        self.rests: dict[tuple[str, bool, tuple[int, ...]], list[list[int]]] = {}
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
                    for shared in (1, 2):
                        key = (sentence.lang, sentence.toxic, tuple(ids[at - shared : at]))
                        self.rests.setdefault(key, []).append(ids[at:])
        self.langs = sorted(self.tokens)
        self.space = tokenizer.convert_tokens_to_ids("▁")

    def _sentence(self, lang: str, toxic: bool, crossed: float) -> list[int]:
        ids = self.rng.choice(self.rng.choice(self.pools[lang, toxic]))
        if len(ids) > 4 and self.rng.random() < crossed:
            at = self.rng.randrange(2, len(ids) - 1)
            ids = ids[:at] + self.rng.choice(self.pairs.get((lang, ids[at - 2], ids[at - 1])) or [ids[at:]])
        return ids

    def _turn(self, lang: str, toxic: bool) -> list[int]:
        """A sentence of the other kind that goes over into a ``toxic`` one, or a clean one, where both have the same
        two tokens, or at least one."""
        ids = self.rng.choice(self.rng.choice(self.pools[lang, not toxic]))
        for shared in (2, 1):
            keys = {at: (lang, toxic, tuple(ids[at - shared : at])) for at in range(2, len(ids))}
            open_ = [at for at, key in keys.items() if key in self.rests]
            if open_:
                at = self.rng.choice(open_)
                return ids[:at] + self.rng.choice(self.rests[keys[at]])
        return self._sentence(lang, toxic, 0.0)

    def _noise(self, pool: list[int]) -> int:
        """A token of the pool's language, or of any."""
        if self.rng.random() < self.foreign:
            pool = self.tokens[self.rng.choice(self.langs)]
        return self.rng.choice(pool)

    def document(self, below: bool = False) -> tuple[list[int], list[int]]:
        """Input and target ids of one document, of equal length; ``below`` a description all its sentences are toxic,
        or become it."""
        lang = self.rng.choice(self.langs)
        toxic = below or self.rng.random() < self.toxic
        target: list[int] = []
        for _ in range(self.rng.choices((1, 2, 3), (5, 3, 2))[0]):
            if toxic and self.turned and self.rng.random() < self.turned:
                ids = self._turn(lang, below)
                toxic = below
            else:
                ids = self._sentence(lang, toxic, 0.0 if below else self.crossed)
            target += ids[1:] if target and lang in UNSPACED and ids[0] == self.space else ids
            if not below and self.rng.random() >= STAYS:
                toxic = self.rng.random() < self.toxic
        pool = self.tokens[lang]
        source = [self._noise(pool) if self.rng.random() < self.noised else token for token in target]
        return [*source, self.end], [*target, self.end]

    def row(self, length: int) -> tuple[list[int], list[int]]:
        """Input and target ids of so many tokens, from the start of a document on."""
        below = self.described > 0 and self.rng.random() < self.described
        source = list(self.description) if below else []
        target = [IGNORED] * len(source)
        while len(source) < length:
            more = self.document(below)
            source += more[0]
            target += more[1]
        return source[:length], target[:length]

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Endless ``(input, target)``, both ``[BATCH, BLOCK]``; with descriptions, as much longer as one is."""
        length = BLOCK + (len(self.description) if self.described else 0)
        while True:
            source, target = zip(*(self.row(length) for _ in range(BATCH)), strict=True)
            yield torch.tensor(source), torch.tensor(target)
