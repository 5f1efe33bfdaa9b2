"""A tiny random model with a tokenizer of a few words, labelled texts in two languages, processes that get killed.

(A module: tests cannot import a ``conftest``, which has the fixtures.)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from detoxbench.methods.training.texts import Texts

CLEAN = "the garden is lovely and we thank our kind teacher for a quiet day in school".split()
RUDE = "you are an idiot stupid moron shut up worthless loser".split()
WORDS = ["<end>", *CLEAN, *RUDE]
END = 0


def save_model(folder: Path, seed: int = 0, words: list[str] = WORDS) -> Path:
    """A random GPT-2 of 2 layers x 16 over the words, and its tokenizer."""
    torch.manual_seed(seed)
    ids = {"bos_token_id": END, "eos_token_id": END, "pad_token_id": END}
    config = GPT2Config(n_layer=2, n_embd=16, n_head=2, n_positions=32, vocab_size=len(words), **ids)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>", unk_token="<end>"
    ).save_pretrained(folder)
    return folder


def write(path: Path, words: list[str], count: int, seed: int, **fields) -> Path:
    """Random sentences of the words, half of them in each of two languages."""
    rng = np.random.default_rng(seed)
    rows = [
        {"text": " ".join(rng.choice(words, size=rng.integers(3, 12))), "lang": ("en", "de")[at % 2], **fields}
        for at in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class World:
    """The model's folder and files of toxic and non-toxic texts."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.model = str(save_model(folder / "model"))
        self.toxic = str(write(folder / "toxic.jsonl", RUDE, 60, seed=1))
        self.nontoxic = str(write(folder / "nontoxic.jsonl", CLEAN, 60, seed=2))

    def texts(self, side: str, **settings) -> Texts:
        return Texts([getattr(self, side)], side, **settings)

    def sides(self, **settings) -> dict[str, Texts]:
        return {side: self.texts(side, **settings) for side in ("toxic", "nontoxic")}


def _child(action: Callable[[], object], kill_at: int | None) -> None:
    replace, calls = os.replace, 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(*args, **kwargs)

    os.replace = counted
    # Torch makes a forked child's thread pool anew at first use, and fails where several loading threads are the first.
    torch.set_num_threads(1)
    # Progress belongs to the child alone.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    action()


class Processes:
    """Actions in processes of their own; every write that counts ends in ``os.replace``, so that is where they die."""

    def start(self, action: Callable[[], object], kill_at: int | None = None):
        process = multiprocessing.get_context("fork").Process(target=_child, args=(action, kill_at))
        process.start()
        return process

    def killed(self, action: Callable[[], object], kill_at: int) -> bool:
        """Run it and kill it before its n-th replace; whether it was killed, or had finished before."""
        process = self.start(action, kill_at)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return process.exitcode != 0
