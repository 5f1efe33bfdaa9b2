"""Experts and anti-experts for DExperts: the base model fine-tuned on non-toxic and on toxic text (Liu et al. 2021)."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core.errors import DetoxbenchError
from ..training import work
from ..training.finetune import pack, save, train
from ..training.texts import Texts
from .settings import Settings

KIND = "expert"
NAMES = {"toxic": "antiexpert", "nontoxic": "expert"}

DEFAULTS = Settings()


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Texts | None = None,
    nontoxic: Texts | None = None,
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
    checkpoint_steps: int = 500,
) -> dict[str, Path]:
    """Fine-tune ``OUT/antiexpert`` on toxic and ``OUT/expert`` on non-toxic texts.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: folder of both.
        toxic, nontoxic: texts; one may be left out.
        settings: of the training.
        revision, device: of the base model.
        checkpoint_steps: a killed fit repeats at most so many steps.

    Returns:
        ``expert`` and ``antiexpert``, as far as made -> folder.

    Raises:
        DetoxbenchError: where nothing is given, an output exists already, or peft is missing.
    """
    given = {side: texts for side, texts in (("toxic", toxic), ("nontoxic", nontoxic)) if texts is not None}
    if not given:
        raise DetoxbenchError("nothing to fit on: give --toxic or --nontoxic texts, or both")
    out = Path(out)
    made = {}
    with work.locked(out):
        for side, texts in given.items():
            model, tokenizer = work.load_base(pretrained, revision=revision, device=device, dtype="float32")
            path = out / NAMES[side]
            fit_expert(model, tokenizer, texts, out, NAMES[side], settings, checkpoint_steps)
            made[NAMES[side]] = path
            del model  # the next one is loaded in its place, not beside it
    return made


def fit_expert(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Texts,
    out: Path,
    name: str,
    settings: Settings,
    checkpoint_steps: int = 500,
) -> None:
    """Fine-tune one model, in place, and save it as ``OUT/NAME``; see ``fit``."""
    made_with = {"base": work.base_record(model), **settings.recorded(), "data": {texts.side: texts.record()}}
    if work.finished(out / name, KIND, made_with):
        work.discard(out, name)
        return
    rows = pack(tokenizer, texts, work.max_positions(model, settings.block_size))
    with work.work_folder(out, name, made_with) as folder:
        model, learned = train(model, rows, folder, name, settings.training(), checkpoint_steps)
        save(model, tokenizer, out / name, work.trained(made_with, rows=len(rows), **learned), KIND)
