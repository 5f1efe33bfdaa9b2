"""Fine-tuning a base model on texts with transformers' Trainer, alone or under ``accelerate launch``, safe to kill."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from ...core import files
from ...core.errors import DetoxbenchError
from .. import artifacts
from . import progress, work
from .lora import adapted
from .loss import BLOCK, IGNORED, body_and_head, mean_loss, total_loss
from .pace import Pace
from .settings import Settings
from .texts import Text

KIND = "finetuned_model"
_DONE = "complete.json"

DEFAULTS = Settings()


class Corpus(Protocol):
    """What is trained on: ``texts.Texts``, or a part of it."""

    side: str

    def __iter__(self) -> Iterator[Text]: ...

    def __len__(self) -> int: ...

    def record(self) -> dict[str, Any]:
        """What manifests keep: the sha256 of the texts above all."""
        ...


def fit(
    pretrained: str,
    texts: Corpus,
    out: str | Path,
    name: str,
    *,
    settings: Settings = DEFAULTS,
    ascent: bool = False,
    revision: str | None = None,
    device: str | None = None,
    checkpoint_steps: int = 500,
    **facts: Any,
) -> Path:
    """Fine-tune ``pretrained`` on the texts and save it as ``OUT/NAME``, all or nothing.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        texts: what it learns from.
        ascent: learn to find the texts less likely instead (the loss with its sign turned).
        revision, device: of the base model.
        checkpoint_steps: a killed fit repeats at most so many steps.
        facts: more for the manifest, that change the result.

    Returns:
        ``OUT/NAME``; where it is there already, made from the same, nothing is done.

    Raises:
        DetoxbenchError: where something else is there, peft is missing, or the training changed next to nothing.
    """
    out = Path(out)
    with first_alone(out, device):
        model, tokenizer = work.load_base(pretrained, revision=revision, device=_device(device), dtype="float32")
        made_with = {
            "base": work.base_record(model),
            **settings.recorded(),
            "ascent": ascent,
            **facts,
            "data": {texts.side: texts.record()},
        }
        done = work.finished(out / name, KIND, made_with)
        _wait()  # every process has looked before one of them writes
        if done:
            if rank() == 0:
                work.discard(out, name)
            return out / name
        rows = pack(tokenizer, texts, work.max_positions(model, settings.block_size))
        folder = out / work.WORK / name
        with work.work_folder(out, name, made_with) if rank() == 0 else contextlib.nullcontext():
            _wait()
            model, learned = train(model, rows, folder, name, settings, checkpoint_steps, ascent=ascent)
            if rank() == 0:
                facts = {"rows": len(rows), "processes": processes(), **learned}
                save(model, tokenizer, out / name, work.trained(made_with, **facts))
        _wait()
    return out / name


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, path: Path, trained: dict, kind: str = KIND
) -> None:
    """A plain ``save_pretrained`` folder with a manifest, all or nothing."""
    with files.new_folder(path) as partial:
        model.save_pretrained(partial, safe_serialization=True)
        if tokenizer is not None:
            tokenizer.save_pretrained(partial)
        artifacts.write_manifest(partial, kind, trained=trained)


def pack(tokenizer: PreTrainedTokenizerBase, texts: Corpus | Iterable[Text], size: int) -> list[list[int]]:
    """Token rows of at most ``size``: as many whole texts, each with its end token, as fit; a longer text is cut.

    Published scripts cut rows anywhere. Here each starts where a text starts (or goes on): what a model reads when it
    is used begins at a text's beginning too.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows: list[list[int]] = []
    row: list[int] = []
    for text in work.bar(texts, desc="texts", unit="text", disable=rank() != 0):
        ids = tokenizer(text.text, verbose=False)["input_ids"]
        ids = ids if ids[-1:] == end else [*ids, *end]
        for piece in (ids[start : start + size] for start in range(0, len(ids), size)):
            if len(row) + len(piece) > size:
                rows.append(row)
                row = []
            row = row + piece
    rows = [row for row in [*rows, row] if len(row) > 1]
    if not rows:
        raise DetoxbenchError("the texts have no two tokens in a row: nothing to learn from")
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


def train(
    model: PreTrainedModel,
    rows: list[list[int]],
    folder: Path,
    name: str,
    settings: Settings,
    checkpoint_steps: int = 500,
    *,
    ascent: bool = False,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The fine-tuned model, from the last whole checkpoint in ``folder`` if there is one, and what the manifest says of
    the training: its updates, the loss before and after, how far the weights moved.

    Raises:
        DetoxbenchError: where it changed next to nothing, or diverged.
    """
    cpu = model.device.type == "cpu"
    plan = progress.plan(
        len(rows),
        epochs=settings.epochs,
        max_steps=settings.max_steps,
        batch_size=settings.batch_size,
        device_batch=settings.device_batch_size,
        processes=processes(),
        warmup_steps=settings.warmup_steps,
    )
    device_batch = min(settings.device_batch_size, plan.batch_size)
    if rank() == 0 and plan.batch_size < settings.batch_size // processes() * processes():
        work.say(
            f"{name}: {plan.batch_size} rows an update instead of {settings.batch_size}, so that there are "
            f"{plan.updates} updates"
        )
    sample = progress.sampled(rows)
    before = mean_loss(model, sample, collate, device_batch), progress.values(model)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=plan.warmup,
        weight_decay=settings.weight_decay,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=plan.accumulation,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=(not cpu and torch.cuda.is_bf16_supported()) if settings.bf16 is None else settings.bf16,
        use_cpu=cpu,
        save_strategy="steps",
        save_steps=checkpoint_steps,
        save_total_limit=2,
        logging_steps=50,
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=not cpu,
        ddp_find_unused_parameters=False,
        disable_tqdm=rank() != 0,
    )
    cache = model.config.use_cache
    model.config.use_cache = False
    trained: Any = adapted(model, settings.lora_rank, "fine-tuning with --lora") if settings.lora_rank else model
    trained.train()
    if rank() == 0:
        work.say(f"fine-tuning {name} on {len(rows):,} rows of up to {settings.block_size} tokens")
        last_whole(folder)  # removes what is not whole
    _wait()
    trainer = _Trainer(
        model=trained,
        args=arguments,
        train_dataset=rows,
        data_collator=collate,
        callbacks=[Whole(folder), Paced(name)],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(progress.Bar)
    trainer.sign = -1.0 if ascent else 1.0
    if processes() == 1 and device_batch * settings.block_size * model.config.get_text_config().vocab_size > BLOCK:
        trainer.parts = body_and_head(trained)
    trainer.train(resume_from_checkpoint=last_whole(folder))
    trained.zero_grad(set_to_none=True)
    # Trainer and optimizer hold each other, and with them twice the model's memory.
    del trainer
    gc.collect()
    if settings.lora_rank:
        trained = trained.merge_and_unload()
    trained.config.use_cache = cache
    trained.eval()
    after = mean_loss(trained, sample, collate, device_batch), progress.values(trained)
    learned = progress.learned(name, plan, before[0], after[0], progress.relative_change(before[1], after[1]))
    if rank() == 0:
        work.say(
            f"{name}: {plan.updates} updates, loss on its own texts {before[0]:.4f} -> {after[0]:.4f}, weights changed "
            f"by {learned['relative_change']:.2g} (relative)"
        )
    return trained, learned


class _Trainer(Trainer):
    """Climbs the loss where ``sign`` is -1 (Jang et al. 2023, equation 1); block by block where ``parts`` are known."""

    sign: float = 1.0
    parts: Any = None

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if self.parts is not None and not return_outputs:
            vocab = model.config.get_text_config().vocab_size
            with self.compute_loss_context_manager():
                total, count = total_loss(self.parts, inputs, vocab)
            # As the model's own loss: over a whole update's tokens where the trainer counts them, else over this pass.
            whole = num_items_in_batch if self.model_accepts_loss_kwargs and num_items_in_batch is not None else count
            return total * self.sign / whole
        found: Any = super().compute_loss(
            model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
        )
        return (found[0] * self.sign, found[1]) if return_outputs else found * self.sign


class Paced(TrainerCallback):
    """Says how long the training takes."""

    def __init__(self, name: str):
        self.name = name

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pace = Pace(self.name, state.max_steps, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if rank() == 0:
            self.pace.update()


class Whole(TrainerCallback):
    """Notes which checkpoints are whole: the Trainer writes them file by file, each process its own."""

    def __init__(self, folder: Path):
        self.folder = folder

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        _wait()
        if rank() == 0:
            files.write_json(self.folder / f"checkpoint-{state.global_step}" / _DONE, {"step": state.global_step})


def last_whole(folder: Path) -> str | None:
    """The newest whole checkpoint; the others are removed."""
    whole: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        if (path / _DONE).is_file():
            whole[int(path.name.rpartition("-")[2])] = path
        elif rank() == 0:
            shutil.rmtree(path)
    return str(whole[max(whole)]) if whole else None


def rank() -> int:
    """Which of the processes of ``accelerate launch`` or ``torchrun`` this is; 0 without them."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def first_alone(out: Path, device: str | None = None) -> Iterator[None]:
    """The folder's lock, held by the first process for all of them."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
    with work.locked(out) if rank() == 0 else contextlib.nullcontext():
        _wait()
        yield


def _wait() -> None:
    """Until every process is here."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def _device(device: str | None) -> str | None:
    """Of this process: each has a GPU of its own, unless a device is named."""
    if device is None and processes() > 1 and torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return device
