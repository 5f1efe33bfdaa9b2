"""What ``detox`` asks of vLLM, without vLLM: an engine that batches as vLLM's does, in a few rows, with requests that
come in, leave and change their places, over a model of transformers."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

ROWS = 3
PROCESSOR = "detoxbench.harness.by_vllm.processor"


class MoveDirectionality(enum.Enum):
    UNIDIRECTIONAL = 0
    SWAP = 1


@dataclass(frozen=True)
class BatchUpdate:
    batch_size: int
    removed: list[int]
    added: list[Any]
    moved: list[Any]


class LogitsProcessor:
    pass


@dataclass
class SamplingParams:
    temperature: float = 1.0
    max_tokens: int = 16
    stop_token_ids: list[int] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    ignore_eos: bool = False
    detokenize: bool = True
    prompt_logprobs: int | None = None
    logprobs: int | None = None
    allowed_token_ids: list[int] | None = None
    extra_args: dict[str, Any] | None = None


@dataclass
class Asked:
    prompt: list[int]
    params: SamplingParams
    new: list[int] = field(default_factory=list)
    ended: bool = False
    logprobs: list[Any] = field(default_factory=list)


class LLM:
    made: ClassVar[list[dict[str, Any]]] = []
    """The arguments of all engines."""

    def __init__(self, model: str, **given: Any):
        LLM.made.append({"model": model, **given})
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=given["dtype"]).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(given["tokenizer"])
        length = given["max_model_len"] or AutoConfig.from_pretrained(model).n_positions
        config = SimpleNamespace(model=model, max_model_len=length)
        self.processors = [
            kind(SimpleNamespace(model_config=config), "cpu", False) for kind in given["logits_processors"]
        ]
        self.llm_engine = SimpleNamespace(
            model_config=config, engine_core=SimpleNamespace(shutdown=lambda: setattr(self, "model", None))
        )

    @torch.inference_mode()
    def generate(self, prompts: Any, params: Any, use_tqdm: bool = True) -> list[Any]:
        asked = [Asked(list(one["prompt_token_ids"]), two) for one, two in zip(prompts, params, strict=True)]
        for one in asked:
            assert len(one.prompt) + one.params.max_tokens <= self.llm_engine.model_config.max_model_len
            assert one.params.temperature == 0
        waiting, batch = list(asked), []
        removed: list[int] = []
        while waiting or batch:
            added, moved = [], []
            # New requests take the places of those that left; holes are then filled from the end.
            while waiting and (removed or len(batch) < ROWS):
                place, one = removed.pop(0) if removed else len(batch), waiting.pop(0)
                batch[place : place + 1] = [one]
                added.append((place, one.params, one.prompt, one.new))
            gone = list(removed)
            for place in sorted(removed, reverse=True):
                last = batch.pop()
                if place < len(batch):
                    batch[place] = last
                    moved.append((len(batch), place, MoveDirectionality.UNIDIRECTIONAL))
            if len(batch) > 1:
                batch[0], batch[1] = batch[1], batch[0]
                moved.append((0, 1, MoveDirectionality.SWAP))
            for processor in self.processors:
                processor.update_state(BatchUpdate(len(batch), gone, added, moved))
            self._step(batch)
            removed = [place for place, one in enumerate(batch) if one.ended]
            if len(removed) == len(batch) and not waiting:
                for processor in self.processors:
                    processor.update_state(BatchUpdate(0, removed, [], []))
                break
        return [self._output(one) for one in asked]

    def _step(self, batch: list[Asked]) -> None:
        scores = torch.stack([self._scores([*one.prompt, *one.new])[-1] for one in batch]).float()
        raw = scores.log_softmax(-1)
        for one, row in zip(batch, scores, strict=True):
            if one.params.allowed_token_ids:
                allowed = torch.tensor(one.params.allowed_token_ids)
                row[~torch.isin(torch.arange(len(row)), allowed)] = -torch.inf
        for processor in self.processors:
            assert not processor.is_argmax_invariant()
            scores = processor.apply(scores)
        for one, token, before in zip(batch, scores.argmax(-1).tolist(), raw, strict=True):
            one.new.append(token)
            one.logprobs.append({token: _logprob(before, token)})
            text = self.tokenizer.decode(one.new) if one.params.stop else ""
            one.ended = (
                token in one.params.stop_token_ids
                or len(one.new) == one.params.max_tokens
                or any(stop in text for stop in one.params.stop)
            )

    def _scores(self, tokens: list[int]) -> torch.Tensor:
        return self.model(input_ids=torch.tensor([tokens])).logits[0]

    def _output(self, one: Asked) -> Any:
        known = None
        if one.params.prompt_logprobs is not None:
            rows = self._scores(one.prompt).float().log_softmax(-1)
            known = [None, *({t: _logprob(row, t)} for row, t in zip(rows, one.prompt[1:], strict=False))]
        return SimpleNamespace(
            prompt_logprobs=known, outputs=[SimpleNamespace(token_ids=tuple(one.new), logprobs=one.logprobs)]
        )


def _logprob(row: torch.Tensor, token: int) -> Any:
    return SimpleNamespace(logprob=float(row[token]), rank=int((row >= row[token]).sum()))


def install(monkeypatch: Any) -> type[LLM]:
    """``import vllm`` finds this."""
    top, inner = ModuleType("vllm"), ModuleType("vllm.v1.sample.logits_processor")
    for module, names in (
        (top, (LLM, SamplingParams)),
        (inner, (BatchUpdate, LogitsProcessor, MoveDirectionality)),
    ):
        module.__spec__ = ModuleSpec(module.__name__, None)
        for name in names:
            setattr(module, name.__name__, name)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("vllm.v1", "vllm.v1.sample"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.delitem(sys.modules, PROCESSOR, raising=False)
    # What is imported meanwhile holds the classes above: the next to come imports it anew.
    monkeypatch.setattr(LLM, "made", [])
    return LLM
