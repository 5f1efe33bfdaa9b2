"""Texts and likelihoods of an engine of vLLM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from ...core.sampling import Request, Sampling
from .draws import told
from .model import VllmModel

SAMPLES = {"cpu": 2048, "cuda": 8192}
"""So many are given to vLLM at once, which makes batches of them itself; what is finished is kept after each time."""


def generate(
    model: VllmModel,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    eos: Sequence[int],
    on_batch: Callable[[int, int], None] | None = None,
    on_whole: Callable[[Mapping[int, list[list[int]]]], None] | None = None,
) -> list[list[list[int]]]:
    """As ``core/sampling/engine.generate``; vLLM itself ends texts at stop strings.

    Each sample is a request of its own: so is it within vLLM for ``n=K`` too, which shares of a prompt's keys and
    values those blocks that it fills.
    """
    size, results, at = SAMPLES.get(model.device.type, SAMPLES["cuda"]), [], 0
    while at < len(requests):
        some, wanted = [], 0
        while at + len(some) < len(requests) and (not some or wanted < size):
            some.append(requests[at + len(some)])
            wanted += len(some[-1].samples)
        found = _drawn(model, some, sampling, eos)
        if on_whole:
            on_whole({at + place: texts for place, texts in enumerate(found)})
        if on_batch:
            on_batch(len(some), sum(len(tokens) for texts in found for tokens in texts))
        results, at = results + found, at + len(some)
    return results


def _drawn(
    model: VllmModel, requests: Sequence[Request], sampling: Sampling, eos: Sequence[int]
) -> list[list[list[int]]]:
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

    common = {
        "temperature": 0.0, "max_tokens": sampling.max_new_tokens, "stop_token_ids": list(eos), "ignore_eos": True,
        "stop": list(sampling.stop), "detokenize": bool(sampling.stop),
    }  # fmt: skip
    if not sampling.do_sample:
        # All samples are one.
        once = [replace(request, samples=request.samples[:1]) for request in requests]
        asked = [(request, None) for request in once if len(request.samples)]
    else:
        asked = [(request, told(sampling, request.key, sample)) for request in requests for sample in request.samples]
    outputs = model.llm.generate(
        [{"prompt_token_ids": list(request.tokens)} for request, _ in asked],
        [SamplingParams(**common, extra_args=extra) for _, extra in asked],
        use_tqdm=False,
    )
    texts = iter([_before(output.outputs[0].token_ids, set(eos)) for output in outputs])
    if not sampling.do_sample:
        return [[next(texts)] * len(request.samples) if len(request.samples) else [] for request in requests]
    return [[next(texts) for _ in request.samples] for request in requests]


def _before(tokens: Sequence[int], eos: set[int]) -> list[int]:
    """The tokens before the one that ended the text."""
    end = next((at for at, token in enumerate(tokens) if token in eos), len(tokens))
    return list(tokens[:end])


def likelihoods(
    model: VllmModel, requests: Sequence[tuple[Any, Sequence[int], Sequence[int]]], *, silent: bool = True
) -> list[tuple[float, bool]]:
    """Of each continuation its log-likelihood given the context, in nats, and whether it is what would be taken token
    by token.

    Args:
        requests: anything, tokens of the context (at least one), tokens of the continuation. What is longer than the
            model's positions loses its beginning.
        silent: no progress.
    """
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

    results = []
    for start in tqdm(range(0, len(requests), SAMPLES["cpu"]), desc="likelihoods", disable=silent):
        prompts, params, counts = [], [], []
        for _, context, continuation in requests[start : start + SAMPLES["cpu"]]:
            *read, last = [*context, *continuation][-(model.positions + 1) :]
            prompts.append({"prompt_token_ids": read})
            # The last token is not read but drawn, as the only one allowed: its likelihood is the model's own still.
            params.append(
                SamplingParams(
                    temperature=0.0, max_tokens=1, ignore_eos=True, detokenize=False, prompt_logprobs=0, logprobs=0,
                    allowed_token_ids=[last],
                )
            )  # fmt: skip
            counts.append((len(continuation), last))
        for prompt, (count, last), output in zip(
            prompts, counts, model.llm.generate(prompts, params, use_tqdm=False), strict=True
        ):
            read = prompt["prompt_token_ids"]
            known = [given[token] for given, token in zip(output.prompt_logprobs, read, strict=True) if given]
            known = [*known, output.outputs[0].logprobs[0][last]][-count:]
            results.append((float(sum(one.logprob for one in known)), all(one.rank == 1 for one in known)))
    return results
