"""Experts and anti-experts for DExperts: the base model fine-tuned on non-toxic and on toxic text (Liu et al. 2021)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from ...harness.errors import DetoxbenchError, missing_extra
from .. import artifacts
from ..loading import TOKENIZER_FILES, load_model
from . import work
from .texts import Texts

KIND = "expert"
NAMES = {"toxic": "antiexpert", "nontoxic": "expert"}
_DONE = "complete.json"
IGNORED = -100


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
        for name, valid, allowed in (
            ("epochs", self.epochs > 0, "above 0"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("device_batch_size", self.device_batch_size >= 1, "at least 1"),
            ("block_size", self.block_size >= 2, "at least 2"),
            ("lora_rank", self.lora_rank >= 0, "at least 0"),
        ):
            if not valid:
                raise DetoxbenchError(f"{name}={getattr(self, name)}: it must be {allowed}")


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
        model = _train(model, rows, folder, name, settings, checkpoint_steps)
        save(model, tokenizer, out / name, work.trained(made_with, rows=len(rows)))


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, path: Path, trained: dict) -> None:
    """A plain ``save_pretrained`` folder with a manifest, all or nothing."""
    with artifacts.new_folder(path) as partial:
        model.save_pretrained(partial, safe_serialization=True)
        if tokenizer is not None:
            tokenizer.save_pretrained(partial)
        artifacts.write_manifest(partial, KIND, trained=trained)


def pack(tokenizer: PreTrainedTokenizerBase, texts: Texts, size: int) -> list[list[int]]:
    """Token rows of at most ``size``: as many whole texts, each with its end token, as fit; a longer text is cut.

    The published script cuts rows anywhere. Here each starts where a text starts (or goes on): what an expert reads
    when it is used begins at a text's beginning too.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows: list[list[int]] = []
    row: list[int] = []
    for text in work.bar(texts, total=len(texts), desc=f"{texts.side} texts", unit="text"):
        ids = tokenizer(text.text, verbose=False)["input_ids"]
        ids = ids if ids[-1:] == end else [*ids, *end]
        pieces = [ids[start : start + size] for start in range(0, len(ids), size)]
        for piece in pieces:
            if len(row) + len(piece) > size:
                rows.append(row)
                row = []
            row = row + piece
    rows = [row for row in [*rows, row] if len(row) > 1]
    if not rows:
        raise DetoxbenchError(f"the {texts.side} texts have no two tokens in a row: nothing to learn from")
    return rows


def collate(batch: Sequence[list[int]]) -> dict[str, torch.Tensor]:
    """Right-padded ``input_ids``, ``attention_mask`` and ``labels`` ``[rows, pos]``."""
    width = max(map(len, batch))
    ids = torch.zeros(len(batch), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(batch):
        ids[at, : len(row)] = torch.as_tensor(row)
        mask[at, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, IGNORED)}


def _train(
    model: PreTrainedModel, rows: list[list[int]], folder: Path, name: str, settings: Settings, checkpoint_steps: int
) -> PreTrainedModel:
    """The fine-tuned model, from the last whole checkpoint if there is one."""
    device_batch = min(settings.device_batch_size, settings.batch_size)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=max(1, round(settings.batch_size / device_batch)),
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=model.device.type == "cuda" and torch.cuda.is_bf16_supported(),
        use_cpu=model.device.type == "cpu",
        save_strategy="steps",
        save_steps=checkpoint_steps,
        save_total_limit=2,
        logging_steps=50,
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=model.device.type == "cuda",
        disable_tqdm=False,
    )
    cache = model.config.use_cache
    model.config.use_cache = False
    trained: Any = _with_lora(model, settings.lora_rank) if settings.lora_rank else model
    trained.train()
    work.say(f"fine-tuning the {name} on {len(rows):,} rows of up to {settings.block_size} tokens")
    whole = _Whole(folder)
    trainer = Trainer(model=trained, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[whole])
    trainer.train(resume_from_checkpoint=_last_whole(folder))
    if settings.lora_rank:
        trained = trained.merge_and_unload()
    trained.config.use_cache = cache
    return trained.eval()


class _Whole(TrainerCallback):
    """Notes which checkpoints are whole: the Trainer writes them file by file."""

    def __init__(self, folder: Path):
        self.folder = folder

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        artifacts.write_json(self.folder / f"checkpoint-{state.global_step}" / _DONE, {"step": state.global_step})


def _last_whole(folder: Path) -> str | None:
    """The newest whole checkpoint; the others are removed."""
    whole: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        if (path / _DONE).is_file():
            whole[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    return str(whole[max(whole)]) if whole else None


def _with_lora(model: PreTrainedModel, rank: int) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise missing_extra("peft", "lora", "fine-tuning with --lora") from error
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


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
    save(model, tokenizer, Path(out), {"imported_from": folder.name})
    return model
