"""What a method costs, measured within the run: the model with it and without it, in turn, on some of its prompts."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..core.constants import CONFIDENCE
from ..core.sampling import Request, Sampling, generate
from ..core.statistics import Interval
from ..core.statistics.medians import median_interval
from ..methods.lm import DetoxifiedLM
from ..methods.selection import select, to_draw

ROUNDS, LEAST, SECONDS = 15, 6, 10.0
"""So many rounds at most; six, which an interval needs, however long they take; none begins after so many seconds."""
PROMPTS, SAMPLES, TOKENS = 8, 4, 16
"""Of the batch: prompts, samples of each, and new tokens of every text."""
MB = 1e6

Estimates = dict[str, Interval]


@dataclass(frozen=True)
class _Work:
    """Texts to write: their prompts, how many samples of each, and the tokens that are kept of them."""

    requests: Sequence[Request]

    @property
    def tokens(self) -> int:
        return TOKENS * sum(len(request.samples) for request in self.requests)


def measure(
    model: Any,
    requests: Sequence[Request],
    sampling: Sampling,
    text: Callable[[Sequence[int], Sequence[int]], str],
    pad: int,
) -> Estimates:
    """Every metric of ``core/metrics/run_level.COST`` that can be measured of a model.

    Of a model whose weights a method has changed, and of one without a method, there is nothing to compare: the ratios
    are 1 and there is no interval about them.

    Args:
        model: as it is sampled from.
        requests: prompts of the run; a few of them are taken.
        sampling: of the run.
        text: from a prompt's tokens and the new ones to the text that a selection method judges.
        pad: token id to fill up with.
    """
    step = max(1, len(requests) // PROMPTS)
    some = [replace(one, samples=range(SAMPLES)) for one in requests[::step][:PROMPTS]]
    alone, batch = _Work([replace(some[0], samples=range(1))]), _Work(some)
    under = replace(sampling, max_new_tokens=TOKENS, stop=())
    base = model.base if isinstance(model, DetoxifiedLM) else None

    def write(work: _Work, detoxified: bool) -> float:
        """Seconds."""
        return _seconds(model.device, lambda: _write(model if detoxified else base, work, under, text, pad))

    latency, throughput = _in_turn(write, alone, base), _in_turn(write, batch, base)
    found = {
        "latency": median_interval([1e3 * pair[0] / alone.tokens for pair in latency]),
        "throughput": median_interval([batch.tokens / pair[0] for pair in throughput]),
        "forward_passes": _exactly(_passes(model, lambda: _write(model, alone, under, text, pad)) / alone.tokens),
        "extra_memory": _exactly(_extra_memory(model, lambda one: _write(one, batch, under, text, pad)) / MB),
    }
    if base is None:
        return {**found, "latency_ratio": _exactly(1.0), "throughput_ratio": _exactly(1.0)}
    return {
        **found,
        "latency_ratio": median_interval([ours / theirs for ours, theirs in latency]),
        "throughput_ratio": median_interval([theirs / ours for ours, theirs in throughput]),
    }


def _exactly(value: float) -> Interval:
    """Of what is counted, not timed."""
    return Interval(value, value, value, "counted", 0, 0, CONFIDENCE, "")


def _in_turn(write: Callable[[_Work, bool], float], work: _Work, base: object) -> list[tuple[float, float]]:
    """Seconds under the method and without it, round by round; who is first alternates, so that what drifts hits both
    alike."""
    models = [True] if base is None else [True, False]
    for detoxified in models:
        write(work, detoxified)  # warm
    start, found = time.perf_counter(), []
    for at in range(ROUNDS):
        if at >= LEAST and time.perf_counter() - start > SECONDS:
            break
        order = models if at % 2 == 0 else models[::-1]
        seconds = {detoxified: write(work, detoxified) for detoxified in order}
        found.append((seconds[True], seconds.get(False, seconds[True])))
    return found


def _write(model: Any, work: _Work, sampling: Sampling, text: Callable, pad: int) -> None:
    """All texts, each to its whole length: no token ends one."""
    selection = getattr(model, "selection", None)
    draws = 1 if selection is None else selection.draws
    wanted = [to_draw(request, draws) for request in work.requests]
    if sampling.truncation == "method" and not getattr(model, "truncates", False):
        sampling = replace(sampling, truncation="sampler", top_p=sampling.nucleus_base or 1.0)
    outputs = generate(model, wanted, sampling, eos=[], pad=pad)
    if selection is not None:
        select(selection, work.requests, outputs, text, [None] * len(work.requests), 0)


def _seconds(device: torch.device, action: Callable[[], None]) -> float:
    _wait(device)
    enabled = gc.isenabled()
    gc.disable()
    start = time.perf_counter()
    try:
        action()
        _wait(device)
        return time.perf_counter() - start
    finally:
        if enabled:
            gc.enable()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _passes(model: Any, action: Callable[[], None]) -> int:
    """Rows that models are run on while something is done, over all of them."""
    rows = 0

    def count(_module: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> None:
        nonlocal rows
        given = [kwargs.get("input_ids"), kwargs.get("inputs_embeds"), *args]
        first = next((one for one in given if isinstance(one, Tensor)), None)
        rows += 0 if first is None else len(first)

    with contextlib.ExitStack() as stack:
        for body in _bodies(model):
            handle = body.register_forward_pre_hook(count, with_kwargs=True)
            stack.callback(handle.remove)
        action()
    return rows


def _bodies(model: Any) -> Iterator[nn.Module]:
    """The innermost models of transformers, each once, whatever wraps them."""
    seen: set[int] = set()
    for module in _modules(model):
        inner = [one for one in module.modules() if isinstance(one, PreTrainedModel) and one is not module]
        if isinstance(module, PreTrainedModel) and not inner and id(module) not in seen:
            seen.add(id(module))
            yield module


def _modules(model: Any) -> Iterator[nn.Module]:
    yield from model.modules()
    for stream in getattr(model, "streams", {}).values():
        for one in getattr(stream.model, "shared", ()):
            yield from one.modules()


def _extra_memory(model: Any, write: Callable[[Any], None]) -> float:
    """Bytes beside the base model's."""
    if not isinstance(model, DetoxifiedLM):
        return 0.0
    own = {tensor.data_ptr() for tensor in _tensors(model.base)}
    others = {tensor.data_ptr(): tensor.nbytes for one in _modules(model) for tensor in _tensors(one)}
    kept = sum(size for place, size in others.items() if place not in own)
    for method in (*model.activations, *model.methods, *([model.selection] if model.selection else [])):
        kept += _held(vars(method))
    if model.device.type != "cuda":
        return float(kept)
    peaks = []
    for one in (model, model.base):
        torch.cuda.reset_peak_memory_stats(model.device)
        write(one)
        _wait(model.device)
        peaks.append(torch.cuda.max_memory_allocated(model.device))
    return float(kept + max(0, peaks[0] - peaks[1]))


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _held(value: Any) -> int:
    """Bytes of tensors and of artifacts' files that a method holds outside modules."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, nn.Module | str | bytes):
        return 0
    if isinstance(value, Mapping):
        return sum(map(_held, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_held, value))
    folder = getattr(value, "path", None)
    if isinstance(folder, Path) and folder.is_dir():
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return _held(getattr(value, "_tensors", ()))
