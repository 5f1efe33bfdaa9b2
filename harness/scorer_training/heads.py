"""A model with a classification head of one label, to be fine-tuned: an encoder or a causal LM, of any architecture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, logging

from ...core.errors import DetoxbenchError
from ...core.hub import line_of
from ...core.mini import model_folder
from ...core.tokenizers import misfit
from ...methods.loading import LOAD_ERRORS
from ...methods.training.lora import adapted

LABEL = "toxic"
POOLERS = ("pooler", "classifier", "score", "head", "classification_head", "pre_classifier", "dense", "out_proj")
"""Names of what lies between a body and its labels, which a base model may lack: it is trained here."""


def load(base: str, *, revision: str | None, device: str | None, seed: int) -> tuple[PreTrainedModel, Any]:
    """The base model with a fresh head of one label, in float32, and its tokenizer.

    Args:
        base: folder, name on the hub or ``mini``: a masked or causal LM, or a classifier, whose labels are dropped.
        revision: commit or tag on the hub.
        device: by default a GPU where there is one.
        seed: of the head.

    Raises:
        DetoxbenchError: for a base that cannot be loaded, has no classification head in transformers, lacks weights of
            its body, or comes without a tokenizer of its own.
    """
    source, options = model_folder(base), {"revision": revision} if revision else {}
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options).get_text_config()
        config.id2label, config.label2id = {0: LABEL}, {LABEL: 0}
        config.problem_type = "multi_label_classification"  # one label, with a sigmoid
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
        torch.manual_seed(seed)
        with _quiet():  # the head is new: nothing to warn of
            model, info = AutoModelForSequenceClassification.from_pretrained(
                source, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, use_safetensors=True,
                trust_remote_code=False, output_loading_info=True, **options,
            )  # fmt: skip
    except LOAD_ERRORS as error:
        raise DetoxbenchError(
            f"--base '{base}' cannot be loaded with a classification head: {line_of(error)}"
        ) from None
    if absent := sorted(name for name in info["missing_keys"] if not set(name.split(".")) & set(POOLERS)):
        raise DetoxbenchError(f"--base '{base}' is no trained model: it has no weights for {', '.join(absent[:3])}")
    if not tokenizer.is_fast:
        raise DetoxbenchError(f"--base '{base}' has no fast tokenizer, which long texts are cut with")
    if (why := misfit(tokenizer, model)) is not None:
        raise DetoxbenchError(f"--base '{base}': {why}")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise DetoxbenchError(f"--base '{base}': its tokenizer has neither a padding nor an end token")
    # A causal LM is read at its last token that is no padding.
    model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.padding_side = "right"
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), tokenizer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def with_adapters(model: PreTrainedModel, rank: int, seed: int) -> Any:
    """The model with LoRA adapters of that rank, its head trained whole; the model itself for 0."""
    if not rank:
        return model
    torch.manual_seed(seed)
    return adapted(model, rank, "fitting a scorer with --lora", task="SEQ_CLS")


def logits(model: Any, tokenizer: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """float32 ``[rows]`` of rows of tokens."""
    padded = tokenizer.pad({"input_ids": list(rows)}, return_tensors="pt")
    inputs = {name: padded[name].to(model.device) for name in ("input_ids", "attention_mask")}
    return model(**inputs).logits.squeeze(-1).float()
