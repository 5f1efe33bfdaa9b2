"""``detoxbench fit scorer --base MODEL``: a fine-tuned classification head, with soft targets.

Trained on ``train`` with early stopping on ``dev``, turned into probabilities on ``calibration`` and measured on
``test``; used as ``hf:FOLDER``. The loop is that of the methods' fits: a killed training goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...core.errors import DetoxbenchError
from ...core.files import new_folder, write_json, write_text
from ...core.scorers import fitted
from ...core.scorers.classifier import WindowedClassifier, window_of
from ...core.scorers.hf import HFScorer
from ...core.validity import split
from ...methods import artifacts
from ...methods.settings import Aside
from ...methods.training import loop, work
from . import calibration, cards, heads
from . import examples as data
from .calibration import by_language, calibrate
from .examples import Examples

KIND = "scorer"
README = "README.md"


class Settings(loop.Settings):
    """Defaults are those of fine-tuned encoders (Devlin et al. 2019, appendix A.3)."""

    epochs: int = Field(4, ge=1, description="passes over the texts, at most")
    learning_rate: float = Field(2e-5, gt=0, description="at its highest")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's")
    batch_size: int = Field(32, ge=1, description="texts a step")
    device_batch_size: int = Field(16, ge=1, description="texts a forward pass; the rest is accumulated")
    block_size: int = Field(256, ge=8, description="tokens of a text that it learns from")
    patience: int = Field(1, ge=0, description="epochs without a smaller loss on dev, after which it stops; 0: never")
    lora_rank: int = Field(
        0, ge=0, description="of LoRA adapters, merged at the end (needs peft); 0 trains all weights"
    )
    share: float = Field(0.5, ge=0, le=1, description="of a target that comes from translations")
    identities: float = Field(0.1, ge=0, description="weight of our neutral sentences with names of groups; 0: none")
    checkpoint_steps: Annotated[int, Aside()] = Field(
        200, ge=1, description="a killed fit repeats at most so many steps"
    )


DEFAULTS = Settings()


class Row(NamedTuple):
    """A text: its tokens, how toxic it is from 0 to 1, and what it counts."""

    tokens: list[int]
    target: float
    weight: float


def fit(
    sets: cards.Sets,
    out: Path,
    base: str,
    settings: Settings = DEFAULTS,
    *,
    revision: str | None = None,
    device: str | None = None,
    checks: cards.Sets = (),
    say: Callable[[str], object] = lambda _: None,
) -> HFScorer:
    """Fit, and write weights, tokenizer, ``card.json``, ``manifest.json`` and ``README.md`` into a new folder.

    What is not finished lies in ``OUT.fit`` and is gone on with by the same call.

    Args:
        sets: card and texts of each label set.
        out: where it is there already, made from the same, nothing is done.
        base: see ``heads.load``.
        settings: of the training.
        revision, device: of the base model.
        checks: card and texts of sets that it is measured on and not fitted on.
        say: called with a line when a step is done.

    Raises:
        DetoxbenchError: where a language has too few texts, for a base that cannot be used, for a training that did
            nothing, and where something else is in ``out``.
    """
    examples = data.of([texts for _, texts in sets])
    calibration.check(examples)
    langs = sorted(set(examples.langs.tolist()))
    say(f"{len(examples.texts):,} texts in {len(langs)} languages")
    unfinished = out.with_name(f"{out.name}.fit")
    with work.locked(unfinished):
        model, tokenizer = heads.load(base, revision=revision, device=device, seed=settings.seed)
        made_with = {
            "base": work.base_record(model),
            **settings.recorded(),
            "data": [{**card, "sha256": _sha256(texts)} for card, texts in sets],
            "split": {"version": split.VERSION, "shares": split.SHARES, "by": "cluster"},
        }
        if not work.finished(out, KIND, made_with):
            longest = min(settings.block_size, window_of(model, tokenizer))
            train, dev = (_rows(examples, part, tokenizer, longest, settings) for part in ("train", "dev"))
            if not dev:
                raise DetoxbenchError("no text is in the dev part, which decides when to stop: give more clusters")
            with work.work_folder(unfinished, KIND, made_with) as folder:
                learned = _trained(model, tokenizer, (train, dev), settings, folder)
                model = learned.pop("model")
                say(f"{learned['updates']:,} updates, loss on dev {learned['held_out_loss']:.4f}")
                _write(out, model, tokenizer, examples, (sets, checks), work.trained(made_with, **learned), say)
        work.discard(unfinished, KIND)
    (unfinished / work.LOCK).unlink(missing_ok=True)
    if unfinished.is_dir() and not any(unfinished.iterdir()):
        unfinished.rmdir()
    return HFScorer(str(out), device=device)


def _trained(
    model: Any, tokenizer: Any, rows: tuple[list[Row], list[Row]], settings: Settings, folder: Path
) -> dict[str, Any]:
    """What the manifest says of the training, and ``model``, the trained one without adapters."""
    adapted = heads.with_adapters(model, settings.lora_rank, settings.seed)

    def loss(some: Sequence[Row]) -> Tensor:
        found = heads.logits(adapted, tokenizer, [row.tokens for row in some])
        wanted = torch.tensor([row.target for row in some], device=found.device)
        weight = torch.tensor([row.weight for row in some], device=found.device)
        return torch.nn.functional.binary_cross_entropy_with_logits(found, wanted, weight)

    train, dev = rows
    patience = settings.patience or settings.epochs + 1
    how = loop.How("scorer", checkpoint_steps=settings.checkpoint_steps, patience=patience)
    learned = loop.train(adapted, train, loss, settings, how, folder, held_out=dev)
    return {**learned, "model": adapted.merge_and_unload() if settings.lora_rank else adapted}


def _rows(examples: Examples, part: str, tokenizer: Any, longest: int, settings: Settings) -> list[Row]:
    """Of a part; those of ``train`` with our neutral sentences."""
    places = np.flatnonzero(examples.parts == part)
    targets = data.shared(examples, settings.share)
    texts = [(examples.texts[place], float(targets[place]), 1.0) for place in places]
    if part == "train" and settings.identities > 0:
        neutral = data.identities(sorted(set(examples.langs.tolist())))
        texts += [(text, data.NEUTRAL, settings.identities) for text, _ in neutral]
    encoded = (
        tokenizer([text for text, _, _ in texts], truncation=True, max_length=longest)["input_ids"] if texts else []
    )
    return [Row(ids, *rest) for ids, (_, *rest) in zip(encoded, texts, strict=True) if ids]


def _write(
    out: Path,
    model: Any,
    tokenizer: Any,
    examples: Examples,
    sets: tuple[cards.Sets, cards.Sets],
    trained: dict[str, Any],
    say: Callable[[str], object],
) -> None:
    """Calibrate, measure, and write the folder, all or nothing."""
    classifier = WindowedClassifier(model.eval(), tokenizer, activation="sigmoid", device=str(model.device))
    inner = np.clip(classifier.probabilities(examples.texts)[:, 0], 1e-12, 1 - 1e-12)
    margins = np.log(inner / (1 - inner))
    scales = calibrate(examples, margins)
    offsets = [offset for _, offset in scales.values()]
    slope = next(iter(scales.values()))[0]
    if slope <= 0:
        raise DetoxbenchError(
            "the fitted scorer ranks texts of the calibration part the wrong way round: it has learned nothing; give "
            "more texts, more --epochs or another --learning-rate"
        )
    card: dict[str, Any] = {
        "kind": fitted.KIND,
        "schema_version": fitted.SCHEMA,
        "languages": sorted(scales),
        "measures": "probability that people call the text toxic: for rated sets, a mean rating of at least 3 of 5",
        "base": trained["base"],
        "sources": [dict(one) for one, _ in sets[0]],
        "own_texts": cards.OWN_TEXTS if trained["identities"] > 0 else None,
        "split": trained["split"],
        "settings": {name: trained[name] for name in Settings.model_fields if name in trained},
        "dev_auc": {lang: round(auc, 4) for lang, auc in by_language(examples, margins, "dev").items()},
        "texts": {part: int((examples.parts == part).sum()) for part in split.SHARES},
        "calibration": {
            **{lang: list(scale) for lang, scale in scales.items()},
            fitted.OTHERS: [slope, float(np.mean(offsets))],
        },
    }
    with new_folder(out) as folder:
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)
        write_json(folder / fitted.CARD, card)
        card |= cards.validity(HFScorer(str(folder), device=str(model.device)), *sets, say)
        write_json(folder / fitted.CARD, card)
        write_text(folder / README, cards.readme(card))
        artifacts.write_manifest(folder, KIND, trained=trained)


def _sha256(texts: Sequence[Any]) -> str:
    """Of everything that is learned from: texts, labels, languages, clusters."""
    digest = hashlib.sha256()
    for one in texts:
        digest.update(json.dumps([one.text, one.lang, one.label, one.positive, one.cluster]).encode() + b"\n")
    return digest.hexdigest()
