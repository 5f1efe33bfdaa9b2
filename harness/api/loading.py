"""``detoxbench.load``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ..model import DetoxLM

if TYPE_CHECKING:
    from transformers import GenerationMixin, PreTrainedTokenizerBase

    class LoadedModel(PreTrainedModel, GenerationMixin):
        """A causal LM of transformers, with two attributes more.

        Attributes:
            tokenizer: that its texts are encoded with; it pads on the left, as ``generate`` needs.
            lm_eval_model: the same model as lm-eval's, for ``lm_eval.simple_evaluate``.
        """

        tokenizer: PreTrainedTokenizerBase
        lm_eval_model: DetoxLM
else:
    LoadedModel = PreTrainedModel


def load(pretrained: str | PreTrainedModel = MINI, method: str = "none", **arguments: Any) -> LoadedModel:
    """A causal LM under a detoxification method: a model of transformers like any other.

    >>> import detoxbench, torch
    >>> lm = detoxbench.load("mini", method="self_debias")
    >>> batch = lm.tokenizer(["The neighbour says"], return_tensors="pt")
    >>> lm(**batch).logits.shape[:2] == batch.input_ids.shape    # [batch, pos, vocab], detoxified at every position
    True
    >>> _ = torch.manual_seed(0)
    >>> ids = lm.generate(**batch, do_sample=True, top_p=0.9, top_k=0, max_new_tokens=5, pad_token_id=0)
    >>> ids.shape[1] - batch.input_ids.shape[1] <= 5
    True

    ``lm.generate`` is transformers' own, with its streamers, beams and constraints. For many samples of a prompt
    ``detoxbench.sample(lm, …)`` is the better one: it runs each prompt once for all its samples, lets finished
    sequences leave the batch, and draws noise that depends on seed, prompt and sample alone, so that two methods can be
    compared sample by sample. It is about twice as fast for 25 samples: 1.8 to 2.5 times in
    ``benchmarks/generation.py``, with a model of GPT-2's shape on two cores.

    Args:
        pretrained: folder, name on the hub, ``mini``, or a loaded model (with ``tokenizer=`` beside it, unless its
            folder has one; it is not changed).
        method: a registered method (``detoxbench.methods()``).
        arguments: of the method; and those of ``lm_eval --model detox --model_args``: ``dtype``, ``revision``,
            ``device``, ``peft``, ``tokenizer``, ``seed``, ``max_batch_tokens``, ….

    Returns:
        The model, in evaluation mode, with ``lm.tokenizer`` and ``lm.lm_eval_model``.

    Raises:
        DetoxbenchError: for an unknown method, a wrong argument, an artifact that does not fit, or a model that cannot
            be loaded.
    """
    # pyright takes methods of lm-eval's that are decorated for abstract ones.
    made = DetoxLM(pretrained=pretrained, method=method, **arguments)  # pyright: ignore[reportAbstractUsage]
    lm: Any = made.model
    lm.tokenizer, lm.lm_eval_model = made.tokenizer, made
    if isinstance(arguments.get("tokenizer"), str | None):  # one that was given stays as it is
        lm.tokenizer.padding_side = "left"  # lm-eval sets its own where it pads
    return lm


def lm_eval_model(lm: object, method: str, arguments: dict[str, Any]) -> DetoxLM:
    """The model that a function of the package was given: one of ``load``, or what ``load`` takes."""
    made = getattr(lm, "lm_eval_model", lm)
    if isinstance(made, DetoxLM):
        if method != "none" or arguments:
            given = ", ".join(["method", *arguments] if method != "none" else arguments)
            raise DetoxbenchError(f"{given}: the model is loaded already; give what it should be to detoxbench.load")
        return made
    return load(made, method, **arguments).lm_eval_model  # type: ignore[arg-type]
