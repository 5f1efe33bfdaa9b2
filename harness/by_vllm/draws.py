"""The sampler's own draws within vLLM's batch: which row is which sample of which prompt, and which token it gets.

vLLM lets a logits processor see the scores of a step before it takes the likeliest token of each row. The token that
our sampler would draw is made the likeliest: exact top-p, and noise that is a function of seed, prompt, sample, step
and token alone, so that texts are those of the other backend, whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.sampling import Sampling
from ...core.sampling.distribution import no_distribution, refused
from ...core.sampling.noise import row_keys
from ...core.sampling.nucleus import draw

EXTRA = "detoxbench"
"""The key of ``SamplingParams.extra_args`` that says how a request is drawn."""


def told(sampling: Sampling, key: int, sample: int) -> dict[str, Any]:
    """``extra_args`` of the request for one sample.

    Args:
        sampling: how it is drawn.
        key: ``noise.prompt_key`` of the prompt.
        sample: its index.
    """
    how = [sampling.seed % 2**64, sampling.top_p, sampling.temperature, sampling.top_k]
    return {EXTRA: {"how": how, "key": key, "sample": sample}}


@dataclass(frozen=True)
class Row:
    """A request in vLLM's batch.

    Args:
        how: seed, top_p, temperature and top_k.
        key: of the prompt's text.
        sample: index of the sample.
        prompt: token ids.
        new: vLLM's own list of the tokens so far, which grows.
    """

    how: tuple[int, float, float, int]
    key: int
    sample: int
    prompt: Sequence[int]
    new: Sequence[int]


class Draws:
    """The rows of vLLM's batch that are drawn here; others are left alone.

    Args:
        name: of the model, for messages.
    """

    def __init__(self, name: str = "vllm"):
        self.name, self.rows = name, dict[int, Row]()

    def add(self, place: int, extra: Any, prompt: Sequence[int] | None, new: Sequence[int]) -> None:
        """A request comes in at a place of the batch."""
        self.rows.pop(place, None)
        if extra and EXTRA in extra:
            given = extra[EXTRA]
            self.rows[place] = Row(tuple(given["how"]), given["key"], given["sample"], prompt or (), new)

    def remove(self, place: int) -> None:
        self.rows.pop(place, None)

    def move(self, one: int, other: int, both: bool) -> None:
        """The request at ``one`` goes to ``other``; ``both``: and that one back."""
        moved, back = self.rows.pop(one, None), self.rows.pop(other, None)
        if moved is not None:
            self.rows[other] = moved
        if both and back is not None:
            self.rows[one] = back

    def apply(self, scores: Tensor) -> Tensor:
        """Scores ``[rows, vocab]`` of which the drawn token's is the largest; changed in place.

        Raises:
            DetoxbenchError: for scores that nothing can be drawn from.
        """
        alike: dict[tuple[int, float, float, int], list[int]] = {}
        for place, row in sorted(self.rows.items()):
            if place < len(scores):
                alike.setdefault(row.how, []).append(place)
        for (seed, top_p, temperature, top_k), places in alike.items():
            rows = [self.rows[place] for place in places]
            index = torch.as_tensor(places, device=scores.device)
            some = scores if len(places) == len(scores) else scores[index]
            self._check(some, rows)
            keys = row_keys(
                seed,
                np.array([row.key for row in rows], dtype=np.uint64),
                np.array([row.sample for row in rows], dtype=np.int64),
                np.array([len(row.new) for row in rows], dtype=np.uint64),
            )
            keys = torch.as_tensor(keys, device=scores.device).unsqueeze(1)
            scores[index, draw(some, keys, top_p, temperature, top_k).flatten()] = torch.finfo(scores.dtype).max
        return scores

    def _check(self, scores: Tensor, rows: Sequence[Row]) -> None:
        wrong = no_distribution(scores)
        if bool(wrong.any()):
            at = int(wrong.nonzero()[0])
            raise refused(self.name, scores[at], len(rows[at].new), "", rows[at].prompt)
