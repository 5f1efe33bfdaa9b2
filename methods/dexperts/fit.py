"""Experts and anti-experts for DExperts: the base model fine-tuned on non-toxic and on toxic text (Liu et al. 2021)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ...core.errors import DetoxbenchError
from ..loading import TOKENIZER_FILES, load_model
from ..training import finetune, work
from ..training.finetune import pack, save, train
from ..training.texts import Texts

KIND = "expert"
NAMES = {"toxic": "antiexpert", "nontoxic": "expert"}


@dataclass(frozen=True)
class Settings:
    """Defaults are the paper's (appendix B): AdamW without weight decay, linear decay without warm-up, an effective
    batch of 512 rows of 128 tokens.

    Args:
        epochs: passes over the texts.
        learning_rate: at the start.
        batch_size: rows a step, reached by accumulation.
        device_batch_size: rows a forward pass.
        block_size: tokens of a row.
        max_steps: stop there, whatever the epochs; -1 for no bound.
        lora_rank: of LoRA adapters, merged into the weights at the end; 0 fine-tunes everything.
        seed: of order and dropout.
    """

    epochs: float = 3.0
    learning_rate: float = 5e-5
    batch_size: int = 512
    device_batch_size: int = 8
    block_size: int = 128
    max_steps: int = -1
    lora_rank: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self.training()

    def training(self) -> finetune.Settings:
        """For the trainer, which refuses what is out of bounds."""
        return finetune.Settings(warmup_steps=0, **asdict(self))


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Texts | None = None,
    nontoxic: Texts | None = None,
    settings: Settings = Settings(),
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
    made_with = {"base": work.base_record(model), **asdict(settings), "data": {texts.side: texts.record()}}
    if work.finished(out / name, KIND, made_with):
        work.discard(out, name)
        return
    rows = pack(tokenizer, texts, work.max_positions(model, settings.block_size))
    with work.work_folder(out, name, made_with) as folder:
        model, learned = train(model, rows, folder, name, settings.training(), checkpoint_steps)
        save(model, tokenizer, out / name, work.trained(made_with, rows=len(rows), **learned), KIND)


def import_expert(folder: str | Path, out: str | Path) -> PreTrainedModel:
    """A published expert, a plain model folder, as ours: safetensors and a manifest.

    Args:
        folder: a ``save_pretrained`` folder; weights in torch's format are read without unpickling objects.
        out: must not exist, or be empty.

    Raises:
        DetoxbenchError: where the folder holds no causal LM.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DetoxbenchError(f"{folder}: there is no such folder")
    model = load_model(str(folder), "expert", dtype="auto")
    tokenizer = None
    if any((folder / name).is_file() for name in TOKENIZER_FILES):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    save(model, tokenizer, Path(out), {"imported_from": folder.name}, KIND)
    return model
