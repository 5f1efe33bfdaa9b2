"""Texts a second of ``hf:`` and ``guard:``, and of a plain loop of transformers: batches of 32 in the order given.

Small random models and texts of uneven lengths, on the CPU unless ``--device`` says otherwise. Both loops must give the
same scores (1e-5).

    python benchmarks/guards.py --texts 256
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from detoxbench.core import scorers

BATCH = 32
WORDS = [f"w{number}" for number in range(2000)]
ANSWERS = ["Rating", ":", *map(str, range(5))]
TEMPLATE = "{% for m in messages %}{{ m.content }} <end>{% endfor %}"


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    special = ["<unk>", "<pad>", "<end>"]
    words = dict.fromkeys([*special, *ANSWERS, *WORDS])
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>", eos_token="<end>", model_max_length=512
    )
    found.chat_template = TEMPLATE
    return found


def texts(count: int) -> list[str]:
    """Words whose number is spread as that of continuations and comments: most short, some long."""
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(3.0, 0.8, count), 3, 300).astype(int)
    return [" ".join(draw.choice(WORDS, length)) for length in lengths]


def saved(folder: Path, kind: str, width: int) -> Path:
    torch.manual_seed(0)
    words = tokenizer()
    if kind == "hf":
        config = transformers.BertConfig(
            vocab_size=len(words), hidden_size=width, num_hidden_layers=4, num_attention_heads=4,
            intermediate_size=4 * width, num_labels=2, id2label={0: "fine", 1: "toxic"}, pad_token_id=1,
        )  # fmt: skip
        model = transformers.BertForSequenceClassification(config)
    else:
        config = transformers.LlamaConfig(
            vocab_size=len(words), hidden_size=width, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=4 * width, max_position_embeddings=2048, pad_token_id=1,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def plain_classifier(folder: Path, given: list[str], device: str) -> np.ndarray:
    words = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).to(device).eval()
    found = []
    for start in range(0, len(given), BATCH):
        batch = words(
            given[start : start + BATCH],
            padding=True,
            truncation=True,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            logits = model(**batch.to(device)).logits
        found.append(logits.softmax(-1)[:, 1].cpu())
    return torch.cat(found).numpy()


def plain_guard(folder: Path, given: list[str], device: str) -> np.ndarray:
    """The same prompts, padded on the left, the whole of each read in every batch."""
    scorer = scorers.load(f"guard:{folder},preset=rubric,least_mass=0", archive="none")
    ask = scorer.preset.asks["text"]
    words = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).to(device).eval()
    digits = [words.convert_tokens_to_ids(str(digit)) for digit in range(5)]
    found = []
    for start in range(0, len(given), BATCH):
        prompts = [
            words.apply_chat_template(
                [{"role": "user", "content": ask.messages[0].content.replace("{text}", text)}],
                tokenize=False, add_generation_prompt=True,
            ) + "Rating: "
            for text in given[start : start + BATCH]
        ]  # fmt: skip
        batch = words(prompts, padding=True, add_special_tokens=False, return_tensors="pt", return_token_type_ids=False)
        positions = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            logits = model(**batch.to(device), position_ids=positions.to(device)).logits[:, -1]
        share = logits.softmax(-1)[:, digits]
        found.append(((share * torch.arange(5, device=device) / 4).sum(-1) / share.sum(-1)).cpu())
    return torch.cat(found).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    given, report = texts(options.texts), {}
    with tempfile.TemporaryDirectory() as root:
        for kind, plain in (("hf", plain_classifier), ("guard", plain_guard)):
            folder = saved(Path(root) / kind, kind, options.width)
            own = "" if kind == "hf" else ",preset=rubric,least_mass=0"
            scorer = scorers.load(f"{kind}:{folder},device={options.device}{own}", archive="none")
            plain(folder, given[:BATCH], options.device)
            scorer.score(given[:BATCH], "en")
            began = time.perf_counter()
            expected = plain(folder, given, options.device)
            middle = time.perf_counter()
            found = scorer.score(given, "en").values[scorer.attributes[0]]
            ended = time.perf_counter()
            report[kind] = {
                "plain_texts_per_second": round(len(given) / (middle - began), 1),
                "texts_per_second": round(len(given) / (ended - middle), 1),
                "times": round((middle - began) / (ended - middle), 2),
                "largest_difference": float(np.abs(expected - found).max()),
            }
    print(json.dumps({"threads": torch.get_num_threads(), "device": options.device, **report}, indent=2))


if __name__ == "__main__":
    main()
