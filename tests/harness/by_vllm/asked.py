"""What both backends are asked."""

from __future__ import annotations

from lm_eval.api.instance import Instance

PROMPTS = ["The neighbour says that nobody", "One", "So the", "Nobody knows"]
SETTINGS = {"do_sample": True, "top_p": 0.9, "max_gen_toks": 8, "until": []}


def ask(model, prompts=PROMPTS, k=4, **settings) -> list[str]:
    """K samples of each prompt, as lm-eval asks for them."""
    rows = [Instance("generate_until", {}, (text, {**SETTINGS, **settings}), i) for i, text in enumerate(prompts)]
    return model.generate_until([row for row in rows for _ in range(k)], disable_tqdm=True)


def likelihoods(model):
    """Of continuations, of an empty context, and of a text longer than the model."""
    pairs = [("The neighbour", " says that"), ("One two", " three four"), ("", " Nobody")]
    rows = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    long = Instance("loglikelihood_rolling", {}, (" ".join(PROMPTS) * 20,), 0)
    found = model.loglikelihood(rows, disable_tqdm=True)
    return [one for one, _ in found] + model.loglikelihood_rolling([long], disable_tqdm=True), [two for _, two in found]
