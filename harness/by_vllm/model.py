"""An engine of vLLM where the model ``detox`` has a model of transformers otherwise."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig

from ...core.errors import DetoxbenchError, shown
from ...core.mini import model_folder
from ...core.transformers_private import usable_positions
from ...methods.base import SelectionMethod
from .weights import checkpoint, selection

PRECISIONS = ("float32", "bfloat16", "float16")
CACHE = 4 << 30
"""Bytes of keys and values on a processor, where neither is said how many nor which share of its memory: vLLM would
take nearly all, and refuse to start where others use some of it."""
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine in this process: its errors are raised here
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # ``processor.py`` follows the interface of the first one
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",  # one more than the model has: the last token of a text is never read
}
"""Set before vLLM is imported, unless they are set already."""

_LOADED: weakref.WeakSet[VllmModel] = weakref.WeakSet()


@dataclass(eq=False)
class VllmModel:
    """What is asked of a model of transformers, as far as an engine has it.

    Args:
        engine: ``vllm.LLM``; None once it has ended.
        name_or_path: of the base model.
        config: of transformers.
        dtype: of weights and caches.
        positions: tokens that a text may have.
        selection: what chooses among whole continuations.
        generation_config: of transformers, with the end tokens of texts.
        device: that it runs on.
    """

    engine: Any
    name_or_path: str
    config: Any
    dtype: torch.dtype
    positions: int
    selection: SelectionMethod | None = None
    generation_config: Any = None
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    @property
    def guided_by(self) -> tuple[str, ...]:
        """Names of the scorers that the method asks."""
        return tuple(self.selection.guided_by) if self.selection is not None else ()

    @property
    def llm(self) -> Any:
        """``vllm.LLM``.

        Raises:
            DetoxbenchError: where another engine was loaded since.
        """
        if self.engine is None:
            raise DetoxbenchError(f"'{self.name_or_path}' in vLLM has ended: one engine at a time runs in a process")
        return self.engine

    def end(self) -> None:
        """Free what the engine holds."""
        engine, self.engine = self.engine, None
        _LOADED.discard(self)
        if engine is not None:
            engine.llm_engine.engine_core.shutdown()

    def to(self, device: Any) -> VllmModel:
        """Itself: vLLM has placed it."""
        return self


def load_engine(
    pretrained: str,
    method: str,
    arguments: Mapping[str, Any],
    engine: Mapping[str, Any],
    *,
    config: Any,
    dtype: Any = None,
    revision: str | None = None,
    tokenizer: str | None = None,
    max_length: int | None = None,
) -> VllmModel:
    """An engine with the weights of a model under a method.

    Args:
        pretrained: folder, hub name or ``mini``.
        method: a registered method that ``arguments.check_method`` lets pass.
        arguments: its own.
        engine: arguments of vLLM's engine.
        config: of the base model.
        dtype: by default the checkpoint's; of one in double precision, which vLLM does not have, single.
        revision: of a hub model and its tokenizer.
        tokenizer: folder or hub name, where it is not the model's.
        max_length: positions of a text and of the token after it; by default the model's.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _end_others()
    from vllm import LLM  # pyright: ignore[reportMissingImports]

    from .processor import DrawsProcessor

    precision = _precision(dtype, config)
    own = usable_positions(_Configured(config))
    length = min(filter(None, (max_length, own)), default=None)
    given = dict(engine)
    if not torch.cuda.is_available() and not given.keys() & {"kv_cache_memory_bytes", "gpu_memory_utilization"}:
        given["kv_cache_memory_bytes"] = CACHE
    choosing = selection(pretrained, method, arguments)
    with checkpoint(pretrained, method, arguments, revision=revision, dtype=precision) as weights:
        base = model_folder(pretrained)
        llm = LLM(
            model=model_folder(weights), tokenizer=model_folder(tokenizer or pretrained), dtype=precision,
            max_model_len=None if length is None else length + 1, seed=0, logits_processors=[DrawsProcessor],
            disable_log_stats=True,
            **({"revision": revision} if weights == pretrained and revision else {}),
            **({"tokenizer_revision": revision} if tokenizer is None and revision else {}), **given,
        )  # fmt: skip
    # vLLM counts the token that it draws, whether it is wanted or not.
    positions = llm.llm_engine.model_config.max_model_len - 1
    made = VllmModel(
        llm, base, config, getattr(torch, precision), positions, choosing, _generation(base, config, revision)
    )
    _LOADED.add(made)
    return made


def _end_others() -> None:
    """Engines in one process share their groups of processes: the end of one would take them from the next."""
    for other in list(_LOADED):
        other.end()


@dataclass(frozen=True)
class _Configured:
    """A model of which the configuration alone is there."""

    config: Any


def _precision(dtype: Any, config: Any) -> str:
    if dtype in (None, "auto"):
        dtype = getattr(config.get_text_config(), "dtype", None) or torch.float32
        dtype = torch.float32 if dtype in (torch.float64, "float64") else dtype
    name = str(dtype).removeprefix("torch.")
    if name not in PRECISIONS:
        raise DetoxbenchError(f"dtype={shown(name)}: vLLM computes in {', '.join(PRECISIONS)}")
    return name


def _generation(base: str, config: Any, revision: str | None) -> GenerationConfig:
    """With the end tokens of texts."""
    try:
        return GenerationConfig.from_pretrained(base, **({"revision": revision} if revision else {}))
    except (OSError, ValueError):
        return GenerationConfig.from_model_config(config)
