"""Loading the models that a method runs beside the base model, with errors that name the argument."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from ..core import hub
from ..core.errors import DetoxbenchError
from ..core.mini import model_folder
from . import artifacts

OTHER_KINDS = ("datastore", "value_model", "reward_model", "probe")
LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError)
_CHOSEN: weakref.WeakKeyDictionary[PreTrainedModel, Any] = weakref.WeakKeyDictionary()
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model", "spiece.model")


def load_model(source: str, purpose: str, *, bar: bool = False, **options: Any) -> PreTrainedModel:
    """A causal LM in evaluation mode.

    Args:
        source: folder, hub name or ``mini``.
        purpose: what it is for, for messages ("expert").
        bar: show how far its weights are.
        options: of ``from_pretrained``.

    Raises:
        DetoxbenchError: naming the purpose, the source and the cause.
    """
    folder = Path(model_folder(source))
    manifest = artifacts.ours(folder)
    if manifest is not None and manifest["kind"] in OTHER_KINDS:
        kind = manifest["kind"].replace("_", " ")
        raise DetoxbenchError(f"{purpose} '{source}' holds a {kind}, not a causal LM")
    if manifest is not None:
        artifacts.verify(folder, manifest)
    name = str(folder) if folder.is_dir() else source
    try:
        with hub.quietly(bar=bar):
            loaded: Any = AutoModelForCausalLM.from_pretrained(name, output_loading_info=True, **options)
    except LOAD_ERRORS as error:
        why = hub.cause(error, source)
        raise DetoxbenchError(f"{purpose} '{source}' cannot be loaded as a causal LM: {why}") from error
    model, found = loaded
    if found["missing_keys"]:
        # transformers fills these with random numbers and goes on.
        raise DetoxbenchError(f"{purpose} '{source}' is no whole causal LM: it lacks {min(found['missing_keys'])}")
    return model.eval()


def spread(base: PreTrainedModel) -> bool:
    """Whether the base model lies on several devices (``device_map="auto"``)."""
    return len(set((getattr(base, "hf_device_map", None) or {}).values())) > 1


def beside(base: PreTrainedModel) -> dict[str, Any]:
    """The ``from_pretrained`` options of a model that runs beside the base model: its precision and placement."""
    return {"dtype": base.dtype, **({"device_map": "auto"} if spread(base) else {})}


def load_beside(source: str | PreTrainedModel, base: PreTrainedModel, purpose: str) -> PreTrainedModel:
    """A model that reads the base model's tokens, on the base model's device and in its precision.

    Raises:
        DetoxbenchError: where it cannot be loaded or has another vocabulary.
    """
    model = source
    if not isinstance(source, PreTrainedModel):
        model = load_model(source, purpose, **beside(base))
        if not spread(base):
            model = model.to(base.device)
    same_vocabulary(base, model, purpose)
    return model


def vocab_size(model: PreTrainedModel) -> int:
    """Tokens that the model scores."""
    return model.config.get_text_config().vocab_size


def same_vocabulary(base: PreTrainedModel, model: Any, purpose: str) -> None:
    """Refuse a model of another vocabulary: other size, or (where both tokenizers are at hand) other tokens.

    Raises:
        DetoxbenchError: naming both models.
    """
    ours, theirs = vocab_size(base), vocab_size(model)
    names = f"base model '{base.name_or_path}' and {purpose} '{model.config.name_or_path}'"
    if ours != theirs:
        raise DetoxbenchError(f"{names} must share one vocabulary, but have {ours} and {theirs} tokens")
    if base.name_or_path == model.config.name_or_path:
        return
    base_tokens, tokens = _tokens(base.name_or_path), _tokens(model.config.name_or_path)
    if base_tokens and tokens and base_tokens != tokens:
        wrong = next(token for token in {**base_tokens, **tokens} if base_tokens.get(token) != tokens.get(token))
        raise DetoxbenchError(
            f"{names} must share one vocabulary, but their tokenizers disagree on the id of {wrong!r}"
        )


@functools.lru_cache(maxsize=8)
def _tokens(source: str) -> Mapping[str, int] | None:
    """Token -> id; None where there is no tokenizer to ask."""
    if not any((Path(source) / name).is_file() for name in TOKENIZER_FILES):
        return None  # a hub name, or a folder of weights alone
    try:
        return AutoTokenizer.from_pretrained(source).get_vocab()
    except LOAD_ERRORS:
        return None


def use_tokenizer(base: PreTrainedModel, tokenizer: Any) -> None:
    """Say which tokenizer a loaded model's text is encoded with; by default the one in its folder. A GGUF file, and a
    model with ``tokenizer=`` of its own, have another."""
    _CHOSEN[base] = tokenizer


def tokenizer_of(base: PreTrainedModel, purpose: str) -> Any:
    """The base model's own tokenizer.

    Args:
        purpose: what it is needed for, for messages.

    Raises:
        DetoxbenchError: where the model comes without one.
    """
    if (chosen := _CHOSEN.get(base)) is not None:
        return chosen
    try:
        return AutoTokenizer.from_pretrained(base.name_or_path)
    except LOAD_ERRORS as error:
        raise DetoxbenchError(
            f"{purpose} needs the base model's tokenizer, and '{base.name_or_path}' has none ({type(error).__name__})"
        ) from error


def encode(base: PreTrainedModel, text: str, argument: str) -> list[int]:
    """Token ids of a text under the base model's own tokenizer, special tokens included.

    Raises:
        DetoxbenchError: where the model comes without one.
    """
    if (chosen := _CHOSEN.get(base)) is not None:
        return chosen(text).input_ids
    try:
        return AutoTokenizer.from_pretrained(base.name_or_path)(text).input_ids
    except LOAD_ERRORS as error:
        raise DetoxbenchError(
            f"{argument} is a text, but '{base.name_or_path}' has no tokenizer to encode it ({type(error).__name__}): "
            f"give its token ids as {argument}_ids=[...]"
        ) from error


def missing_artifact(method: str, arguments: str, fit: str) -> DetoxbenchError:
    """The error for a method without what it needs."""
    return DetoxbenchError(f"method '{method}' needs {arguments}; make them with: detoxbench fit {fit}")
