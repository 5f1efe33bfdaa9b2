"""Perplexity over the coefficient of a task vector, as data and as a plot; and the coefficient chosen from it."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core.errors import missing_extra
from ..training import work
from ..training.finetune import Corpus, collate, pack
from ..training.loss import mean_loss
from .coefficient import choose
from .reweighted import Reweighted

MAX_RATIO = 1.5
TEXTS = 4_096
"""At most so many texts of a side are looked at, chosen at random."""
ROWS = 256
"""Token rows that a perplexity is measured on."""
BATCH = 16
NAME = "tradeoff"


@dataclass(frozen=True)
class Tradeoff:
    """What was measured.

    Args:
        coefficient: the one chosen.
        bound: on the ratio of perplexity to the base model's.
        points: ``coefficient``, and ``nontoxic_perplexity`` and ``toxic_perplexity`` under the changed model; the first
            is the base model itself.
        data: side -> what the texts are.
    """

    coefficient: float
    bound: float
    points: Sequence[Mapping[str, float]]
    data: Mapping[str, Any]

    @property
    def ratio(self) -> float:
        """Of perplexity, at the chosen coefficient."""
        chosen = next(point for point in self.points if point["coefficient"] == self.coefficient)
        return chosen["nontoxic_perplexity"] / self.points[0]["nontoxic_perplexity"]

    def files(self) -> dict[str, bytes]:
        """Name -> content: the data, and the plot where vl-convert is installed."""
        content = {
            "coefficient": self.coefficient,
            "max_perplexity_ratio": self.bound,
            "perplexity_ratio": self.ratio,
            "points": list(self.points),
            "data": self.data,
        }
        found = {f"{NAME}.json": json.dumps(content, indent=1).encode()}
        try:
            found[f"{NAME}.svg"] = plot(self)
        except ImportError:
            work.say(f"{NAME}.json is saved without a plot: {missing_extra('vl-convert-python', 'plots', 'a plot')}")
        return found


def measure(
    pretrained: str,
    finetuned: Sequence[str],
    sides: Mapping[str, Corpus],
    bound: float = MAX_RATIO,
    block_size: int = 128,
    revision: str | None = None,
    device: str | None = None,
) -> Tradeoff:
    """Choose the largest coefficient whose perplexity on non-toxic texts stays within ``bound`` times the base's.

    Args:
        sides: ``nontoxic`` texts that nothing was trained on; ``toxic`` ones, if the curve is to show them.
        block_size: tokens of a row.

    Raises:
        DetoxbenchError: where no coefficient does.
    """
    base, tokenizer = work.load_base(pretrained, revision=revision, device="cpu")
    rows = {side: _rows(tokenizer, texts, work.max_positions(base, block_size)) for side, texts in sides.items()}
    change = Reweighted(base, list(finetuned), 0.0)
    model = copy.deepcopy(base).to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    points: list[dict[str, float]] = []

    def at(coefficient: float) -> float:
        if coefficient:
            change.vectors.coefficient = coefficient
            reweight(model, base, change)
        found = {f"{side}_perplexity": perplexity(model, some) for side, some in rows.items()}
        points.append({"coefficient": coefficient, **found})
        ratio = found["nontoxic_perplexity"] / points[0]["nontoxic_perplexity"]
        work.say(f"coefficient {coefficient:.4g}: perplexity {found['nontoxic_perplexity']:.4g} (ratio {ratio:.3f})")
        return ratio

    at(0.0)
    choice = choose(at, bound)
    points.sort(key=lambda point: point["coefficient"])
    return Tradeoff(choice.coefficient, bound, points, {side: texts.record() for side, texts in sides.items()})


@torch.no_grad()
def reweight(model: PreTrainedModel, base: PreTrainedModel, change: Reweighted) -> None:
    """Write the base model's changed weights into a copy of it, shared ones once."""
    targets, done = model.state_dict(), set()
    for name, tensor in base.state_dict().items():
        if tensor.data_ptr() not in done:
            done.add(tensor.data_ptr())
            targets[name].copy_(change.weight(name, tensor))


def perplexity(model: PreTrainedModel, rows: Sequence[list[int]]) -> float:
    """``exp`` of the mean negative log-likelihood of all tokens but each row's first; at worst infinite."""
    mean = mean_loss(model, list(rows), collate, BATCH)
    return math.exp(mean) if mean < 700 else math.inf


def plot(found: Tradeoff) -> bytes:
    """An SVG of perplexity over the coefficient, relative to the base model's.

    Raises:
        ImportError: without vl-convert.
    """
    import vl_convert

    base = found.points[0]
    sides = [name for name in base if name != "coefficient"]
    values = [
        {"coefficient": point["coefficient"], "ratio": point[name] / base[name], "texts": name.partition("_")[0]}
        for name in sides
        for point in found.points
        if math.isfinite(point[name])
    ]
    ratio = {"field": "ratio", "type": "quantitative", "title": "perplexity / base model's", "scale": {"type": "log"}}
    lines = {"strokeDash": [4, 4], "color": "gray"}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": f"coefficient {found.coefficient:.3g}: perplexity x {found.ratio:.3g}, bound {found.bound:g}",
        "width": 480,
        "height": 300,
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "line", "point": True},
                "encoding": {
                    "x": {"field": "coefficient", "type": "quantitative"},
                    "y": ratio,
                    "color": {"field": "texts", "type": "nominal"},
                },
            },
            {
                "data": {"values": [{"ratio": found.bound}]},
                "mark": {"type": "rule", **lines},
                "encoding": {"y": {"field": "ratio", "type": "quantitative"}},
            },
            {
                "data": {"values": [{"coefficient": found.coefficient}]},
                "mark": {"type": "rule", **lines},
                "encoding": {"x": {"field": "coefficient", "type": "quantitative"}},
            },
        ],
    }
    return vl_convert.vegalite_to_svg(spec).encode()


def _rows(tokenizer: PreTrainedTokenizerBase, texts: Corpus, size: int) -> list[list[int]]:
    chosen = list(texts)
    if len(chosen) > TEXTS:
        chosen = random.Random(0).sample(chosen, TEXTS)
    rows = pack(tokenizer, chosen, size)
    return random.Random(0).sample(rows, min(ROWS, len(rows)))
