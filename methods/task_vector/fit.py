"""Split-merge and negation (Kim et al. 2024): split a toxic corpus, fine-tune on each part, merge, take it away.

Each stage is a function of its own, so that parts can be trained on different machines; ``fit`` runs all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError
from .. import artifacts
from ..merging import tradeoff
from ..merging.align import base_of
from ..merging.checkpoint import open_checkpoint
from ..merging.reweighted import named
from ..merging.vectors import TaskVectors
from ..merging.write import KIND, MAX_SHARD, merge, result_size
from ..training import finetune, work
from ..training.finetune import Corpus
from ..training.settings import Settings
from ..training.split import split
from .settings import MERGED

AVERAGE = -1.0
"""The coefficient that makes the mean of the fine-tuned models."""
DEFAULTS = Settings()


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Corpus,
    splits: int = 5,
    coefficient: float | None = 1.0,
    nontoxic: Corpus | None = None,
    max_ratio: float = tradeoff.MAX_RATIO,
    settings: Settings = DEFAULTS,
    only: Sequence[int] | None = None,
    revision: str | None = None,
    device: str | None = None,
    checkpoint_steps: int = 500,
    dtype: str | None = None,
) -> dict[str, Path]:
    """Fine-tune ``OUT/part_0`` … on the parts of the toxic texts, and write their merged negation as ``OUT/model``.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: folder of all.
        toxic: texts.
        splits: parts; 1 is plain negation.
        coefficient: None chooses it: needs ``nontoxic`` texts that were not trained on.
        nontoxic: held out; what perplexity is measured on.
        max_ratio: of perplexity to the base model's, where the coefficient is chosen.
        settings: of the training.
        only: numbers of the parts to train, and nothing else; another machine trains the others.
        revision, device: of the base model.
        checkpoint_steps: a killed fit repeats at most so many steps.
        dtype: of the merged model; see ``merge``.

    Returns:
        ``part_0``, … and ``model``, as far as made -> folder.

    Raises:
        DetoxbenchError: for a part that is not there, or something else in the way.
    """
    out = Path(out)
    if coefficient is None and nontoxic is None and not only:
        raise DetoxbenchError("a coefficient is chosen by perplexity on non-toxic texts: give them with --nontoxic")
    parts = split(toxic, splits, settings.seed)
    wanted = list(only) if only else range(splits)
    if wrong := [number for number in wanted if not 0 <= number < splits]:
        raise DetoxbenchError(f"there is no part {wrong[0]}: with {splits} splits they are 0 to {splits - 1}")
    made = {}
    for number in wanted:
        made[f"part_{number}"] = finetune.fit(
            pretrained, parts[number], out, f"part_{number}", settings=settings, revision=revision, device=device,
            checkpoint_steps=checkpoint_steps,
        )  # fmt: skip
    if only or finetune.rank():
        return made
    made[MERGED] = negate(
        pretrained, list(made.values()), out / MERGED, coefficient=coefficient, nontoxic=nontoxic, toxic=toxic,
        max_ratio=max_ratio, revision=revision, device=device, dtype=dtype, block_size=settings.block_size,
    )  # fmt: skip
    return made


def negate(
    pretrained: str,
    finetuned: Sequence[str | Path],
    out: str | Path,
    *,
    coefficient: float | None = 1.0,
    nontoxic: Corpus | None = None,
    toxic: Corpus | None = None,
    max_ratio: float = tradeoff.MAX_RATIO,
    block_size: int = 128,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    max_shard: int = MAX_SHARD,
) -> Path:
    """Write ``pretrained`` without ``coefficient`` times the mean difference of the fine-tuned models.

    Args:
        finetuned: whole checkpoints or LoRA adapters; or the folder with ``part_0``, ….
        coefficient: -1 averages the models; None chooses it with ``nontoxic`` texts, and the curve is saved in
            ``OUT/tradeoff.json`` (and ``.svg``, where vl-convert is installed).
        toxic: with None: the curve then also says how much less likely such text becomes.

    Raises:
        DetoxbenchError: where a checkpoint does not fit, or no coefficient is small enough.
    """
    out = Path(out)
    base = open_checkpoint(pretrained, revision)
    sources = named([str(one) for one in finetuned])
    made_with = {
        "base": str(pretrained),
        "finetuned": [_known(one) for one in sources],
        "coefficient": coefficient,
        "dtype": dtype,
    }
    if coefficient is None:
        if nontoxic is None:
            raise DetoxbenchError("a coefficient is chosen by perplexity on non-toxic texts: give them with --nontoxic")
        made_with |= {"max_perplexity_ratio": max_ratio, "block_size": block_size, "nontoxic": nontoxic.record()}
    if work.finished(out, KIND, made_with):
        return out
    extra: dict[str, bytes] = {}
    if coefficient is None:
        sides = {"nontoxic": nontoxic, "toxic": toxic}
        sides = {side: texts for side, texts in sides.items() if texts is not None}
        found = tradeoff.measure(pretrained, sources, sides, max_ratio, block_size, revision, device)
        work.say(f"chosen: coefficient {found.coefficient:.4g}, perplexity {found.ratio:.3f} times the base model's")
        coefficient, extra = found.coefficient, found.files()
    vectors = TaskVectors(base_of(base), sources, coefficient)
    with work.bar(total=result_size(base, vectors, dtype), desc="merging", unit="B", unit_scale=True) as bar:
        return merge(
            base, vectors, out, dtype=dtype, max_shard=max_shard, on_bytes=bar.update, extra=extra,
            trained=work.trained(made_with),
        )  # fmt: skip


def _known(source: str) -> Any:
    """What tells a fine-tuned checkpoint from another, without reading all of it."""
    folder = Path(source)
    if not folder.is_dir():
        return source
    manifest = artifacts.ours(folder)
    if manifest is not None:
        return manifest["files"]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(folder.glob("*.safetensors"))}
