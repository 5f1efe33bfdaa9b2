"""``detoxbench.sample``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from transformers import PreTrainedModel

from ...core.constants import MAX_NEW_TOKENS, SAMPLES, TEMPERATURE, TOP_P
from ...core.errors import DetoxbenchError
from ..model import DetoxLM
from .loading import lm_eval_model


def sample(
    lm: str | PreTrainedModel | DetoxLM,
    prompts: Sequence[str],
    *,
    samples: int = SAMPLES,
    max_new_tokens: int = MAX_NEW_TOKENS,
    temperature: float = TEMPERATURE,
    top_p: float = TOP_P,
    top_k: int = 0,
    stop: Sequence[str] = (),
    seed: int | None = None,
    progress: bool = False,
    method: str = "none",
    **arguments: Any,
) -> list[list[str]]:
    """Several continuations of each prompt: the engine and the texts of ``lm_eval --model detox``.

    >>> import detoxbench
    >>> texts = detoxbench.sample("mini", ["The neighbour says", "Nobody"], samples=3, seed=7)
    >>> [len(of_prompt) for of_prompt in texts]
    [3, 3]
    >>> detoxbench.sample("mini", ["Nobody"], samples=3, seed=7)[0] == texts[1]     # whatever else is asked for
    True

    Args:
        lm: of ``detoxbench.load``, or what that takes.
        prompts: ``[prompts]`` texts to continue.
        samples: of each prompt.
        max_new_tokens: the most tokens of a continuation.
        temperature: 0 takes the most probable token.
        top_p: nucleus mass in (0, 1].
        top_k: 0 for none.
        stop: strings that end a continuation and are not part of it.
        seed: of the noise; by default the model's, else lm-eval's default. The i-th sample of a prompt depends on
            model, settings, seed, prompt and i.
        progress: whether a bar is shown.
        method, arguments: of ``detoxbench.load``, where ``lm`` is not loaded yet.

    Returns:
        ``[prompts][samples]`` continuations, without their prompts.

    Raises:
        DetoxbenchError: for a wrong setting, or one that leaves no room for a prompt.
    """
    if isinstance(prompts, str) or not all(isinstance(prompt, str) for prompt in prompts):
        raise DetoxbenchError('prompts: give a list of texts, ["You are"]')
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise DetoxbenchError(f"samples={samples}: it must be a whole number of at least 1")
    made = lm_eval_model(lm, method, arguments)
    settings = {
        "do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": top_k, "max_gen_toks": max_new_tokens,
        "until": [stop] if isinstance(stop, str) else list(stop), "seed": seed,
    }  # fmt: skip
    asked = [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, settings), idx=place)
        for place, prompt in enumerate(prompts)
    ]
    texts = made.generate_until([one for one in asked for _ in range(samples)], disable_tqdm=not progress)
    return [texts[place : place + samples] for place in range(0, len(texts), samples)]
