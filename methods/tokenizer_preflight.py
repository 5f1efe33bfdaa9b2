"""Whether the tokenizer is the base model's, before the model is loaded.

For a folder without a tokenizer's files transformers makes one up, of a handful of special tokens; with ``tokenizer=``
somebody may name another model's. Either way a model reads noise and says nothing of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from ..core import hub
from ..core.constants import MINI
from ..core.errors import DetoxbenchError, shown
from ..core.mini import model_folder
from ..core.tokenizers import misfit, other_ids, other_size
from .loading import LOAD_ERRORS

REMEDY = "name the model's own with tokenizer=FOLDER, or put its files into the model's folder"


def check(pretrained: Any, tokenizer: Any = None, **where: Any) -> None:
    """Refuse a tokenizer that cannot be a model's own, without loading the model.

    Args:
        pretrained: folder, hub name or ``mini``; a loaded model is looked at too.
        tokenizer: folder, hub name or a tokenizer; by default what lies in the model's folder.
        where: ``revision``, ``subfolder``, ``trust_remote_code`` of the model; a ``gguf_file`` has its own tokenizer.

    Raises:
        DetoxbenchError: for a tokenizer that was named and cannot be loaded, and for one that does not fit. What
            cannot be read of the model itself is left to loading it.
    """
    if where.get("gguf_file") or (pretrained == MINI and tokenizer in (None, "", MINI)):
        return
    options = {name: value for name, value in where.items() if value is not None and name != "gguf_file"}
    chosen = tokenizer or None
    if isinstance(chosen, str | Path):
        chosen = _named(str(chosen), options)
    if chosen is not None and not hasattr(chosen, "get_vocab"):
        raise DetoxbenchError(f"tokenizer={shown(tokenizer)}: give a folder, a name on the hub, or a tokenizer")
    name = pretrained if isinstance(pretrained, str) else getattr(pretrained, "name_or_path", "")
    own = _own(name, options) if name else None
    if chosen is None and own is None:
        return
    why = _size(own if chosen is None else chosen, pretrained, options)
    # What transformers makes up is no measure of another one.
    if why is None and chosen is not None and own is not None and _size(own, pretrained, options) is None:
        why = other_ids(chosen, own)
    if why is not None:
        named = f" with tokenizer='{tokenizer}'" if isinstance(tokenizer, str | Path) and tokenizer else ""
        raise DetoxbenchError(f"model '{name or type(pretrained).__name__}'{named}: {why}; {REMEDY}")


def _named(tokenizer: str, options: dict[str, Any]) -> Any:
    # As lm-eval, which looks for it under the model's revision and subfolder.
    try:
        with hub.quietly():
            return AutoTokenizer.from_pretrained(model_folder(tokenizer), **options)
    except (*LOAD_ERRORS, TypeError, AttributeError) as error:
        why = hub.cause(error, tokenizer)
        raise DetoxbenchError(f"tokenizer='{tokenizer}' cannot be loaded: {why}; {REMEDY}") from error


def _own(name: str, options: dict[str, Any]) -> Any:
    """The tokenizer that the model comes with, or that transformers makes up for it; None where there is none."""
    try:
        with hub.quietly():
            return AutoTokenizer.from_pretrained(model_folder(name), **options)
    except (*LOAD_ERRORS, TypeError, AttributeError):
        return None


def _size(tokenizer: Any, pretrained: Any, options: dict[str, Any]) -> str | None:
    if not isinstance(pretrained, str):
        return misfit(tokenizer, pretrained)
    try:
        with hub.quietly():
            config = AutoConfig.from_pretrained(model_folder(pretrained), **options)
        rows = config.get_text_config().vocab_size
    except (*LOAD_ERRORS, TypeError, AttributeError):
        return None
    return other_size(tokenizer, rows) if isinstance(rows, int) else None
