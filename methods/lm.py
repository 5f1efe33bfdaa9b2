"""A detoxified model is a causal LM: the same interface for generation, log-likelihoods and perplexity."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache

from ..core.errors import DetoxbenchError
from ..core.registry import METHODS
from ..core.transformers_private import attention_choices, causal_output, restore_attention
from . import base
from .activation.hooks import steering, watching
from .first_use import is_mini, with_artifacts
from .guidance.nucleus import within
from .layers import capture_input
from .loading import load_model
from .streams import BASE, CompositeCache, Stream, keep_positions

BLOCK = 1 << 25
"""Elements of ``[rows, vocab]`` that a method sees at once; more positions are done in parts, to bound memory."""


class DetoxifiedLM(PreTrainedModel, GenerationMixin):
    """A base model whose scores are changed by a logit method, and its hidden states by an activation method, at every
    position.

    Args:
        model: the base model; it stays as it is.
        method: a logit method, or None.
        activation: an activation method, or None; it changes the base model alone, not what a logit method runs beside.
        prefix: token ids that the base model reads before every text.
        selection: of the base model's continuations one is kept by it; scores are the base model's own.
        filtering: whether a method's ``filter_p`` applies; may be set at any time. Log-likelihood requests turn it off,
            since a truncated distribution gives most texts no likelihood at all.
    """

    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True
    # Of mixtures: asked of the class, whose module transformers would search for a decorator.
    _can_set_experts_implementation_cached_value = True
    first_position = 0
    """Of a text; the streams know what their models count from."""

    def __init__(
        self,
        model: PreTrainedModel,
        method: base.LogitMethod | None = None,
        *,
        activation: base.ActivationMethod | None = None,
        prefix: Sequence[int] = (),
        selection: base.SelectionMethod | None = None,
        filtering: bool = True,
    ):
        chosen = attention_choices(model.config)
        super().__init__(model.config)
        restore_attention(model.config, chosen)
        self.base = model
        self.method = method
        self.selection = selection
        self.activation = activation
        self.filtering = filtering
        self.nucleus: float | None = None
        """Mass of the base model's nucleus in place of the method's own ``filter_p``; may be set at any time. 1 keeps
        every token. Of use for methods that truncate alone."""
        beside = dict(activation.auxiliaries) if activation else {}
        auxiliaries = dict(method.auxiliaries) if method else {}
        if both := sorted(beside.keys() & auxiliaries.keys()):
            raise DetoxbenchError(f"two methods have a model '{both[0]}' beside the base: they cannot be combined")
        auxiliaries = {**beside, **auxiliaries}
        # Registered, so that ``to`` moves them; the base model itself can be an auxiliary.
        self.auxiliaries = nn.ModuleDict({name: aux.model for name, aux in auxiliaries.items()})
        self.streams = {BASE: Stream(model, prefix)}
        self.streams |= {name: Stream(aux.model, aux.prefix) for name, aux in auxiliaries.items()}
        self.proposals = {name: aux.proposals for name, aux in auxiliaries.items() if aux.proposals > 0}
        self.generation_config = copy.deepcopy(model.generation_config)
        self.generation_config.top_k = 0  # transformers' own default is a hidden top-k of 50
        self.eval()

    @property
    def truncates(self) -> bool:
        """Whether scores are -inf outside a nucleus already: sample with ``top_p=1`` then."""
        if not self.filtering or self.method is None or not self.method.truncates:
            return False
        return self.nucleus is None or self.nucleus < 1.0

    @property
    def guided_by(self) -> Sequence[str]:
        """Names of the scorers that the method asks while it runs."""
        return next((one.guided_by for one in (self.method, self.selection) if one is not None), ())

    @property
    def prefix_room(self) -> int:
        """Positions that prefixes and proposed tokens take from the text, at most."""
        return max(stream.room for stream in self.streams.values())

    @property
    def device(self) -> torch.device:
        return self.base.device

    @property
    def dtype(self) -> torch.dtype:
        return self.base.dtype

    def get_input_embeddings(self) -> nn.Module:
        return self.base.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.base.get_output_embeddings()

    def tie_weights(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: every model inside is whole."""

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        raise DetoxbenchError("a detoxified model is not saved: save the base model and the method's artifacts")

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """transformers' own, which knows nothing of a choice among whole continuations.

        Raises:
            DetoxbenchError: with a selection method.
        """
        if self.selection is not None:
            raise DetoxbenchError(
                "a selection method chooses among whole continuations, which transformers' generate does not: draw "
                "them with core.sampling.generate and choose with methods.selection, as the lm-eval model does (beams "
                "and other settings of transformers' own are not for it)"
            )
        return super().generate(*args, **kwargs)

    def new_cache(self) -> CompositeCache:
        """An empty cache for every stream."""
        caches = {name: stream.new_cache() for name, stream in self.streams.items()}
        return CompositeCache(caches)

    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool = True,
        labels: Tensor | None = None,
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> Any:
        """Detoxified scores.

        Args:
            input_ids: ``[batch, pos]``.
            attention_mask: ``[batch, past + pos]``; left or right padding.
            position_ids: ``[batch, pos]``; by default counted from the mask.
            cache, past_key_values: from an earlier call, or ``new_cache()``; the second is the older name.
            use_cache: return a cache; by default if one was given.
            logits_to_keep: the last n positions only, or those of an index tensor; 0 keeps all.
            labels: ``[batch, pos]``, -100 where there is none: adds the mean negative log-likelihood in nats.

        Returns:
            transformers' ``CausalLMOutputWithPast``: ``logits`` float32 ``[batch, kept, vocab]`` and the cache.

        Raises:
            DetoxbenchError: for a cache that is not this model's own, or embeddings instead of tokens.
        """
        if input_ids is None:
            raise DetoxbenchError("a detoxified model reads input_ids: every model inside has its own embeddings")
        caches = self._caches(cache if cache is not None else past_key_values, use_cache)
        past = 0 if caches is None else caches.get_seq_length()
        if attention_mask is not None and (
            attention_mask.dim() != 2 or attention_mask.shape[1] != past + input_ids.shape[1]
        ):
            raise DetoxbenchError(
                f"attention_mask has shape {list(attention_mask.shape)}; it must be [batch, past + new] = "
                f"[{len(input_ids)}, {past + input_ids.shape[1]}]"
            )
        if position_ids is None:
            position_ids = _positions(input_ids, attention_mask, past)
        logits = self._detoxified(input_ids, attention_mask, position_ids, caches, logits_to_keep)
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten().to(logits.device))
        output = causal_output(logits, caches, loss)
        return output if return_dict is not False else output.to_tuple()

    def _caches(self, given: Cache | None, use_cache: bool | None) -> CompositeCache | None:
        if use_cache is False or (use_cache is None and given is None):
            return None
        if isinstance(given, CompositeCache):
            return given
        if given is None or given.get_seq_length() == 0:
            return self.new_cache()  # transformers' generate makes a plain one
        raise DetoxbenchError(
            "past_key_values holds the base model's keys and values alone, which no other model of the method can "
            "read: start from the whole text, or from this model's new_cache()"
        )

    def _detoxified(
        self, ids: Tensor, mask: Tensor | None, positions: Tensor, caches: CompositeCache | None, keep: int | Tensor
    ) -> Tensor:
        method = self.method
        watched = method is not None and method.key_layer is not None
        watch = capture_input(self.base.get_submodule(method.key_layer)) if watched else contextlib.nullcontext()
        outputs: dict[str, Tensor] = {}
        proposed: dict[str, Tensor] = {}
        hidden = None

        def run(name: str, keep: int | Tensor) -> Tensor:
            cache = None if caches is None else caches.streams[name]
            return self.streams[name].run(ids, mask, positions, cache, keep, proposed.get(name))

        for name in method.auxiliaries if method else ():
            if name not in self.proposals:
                outputs[name] = run(name, keep)
        with self._steered(run), watch as captured:
            scores = run(BASE, keep)
        for name, most in self.proposals.items():
            proposed[name] = scores.topk(min(most, scores.shape[-1]), dim=-1).indices
            outputs[name] = run(name, keep)
        if captured is not None:
            states = captured.states.reshape(len(ids), -1, captured.states.shape[-1])
            hidden = keep_positions(states[:, -ids.shape[1] :], keep)
        if method is None:
            return scores.float()
        batch, kept, vocab = scores.shape
        flat, asked = (
            {name: found.to(scores.device).flatten(0, 1) for name, found in some.items()}
            for some in (outputs, proposed)
        )
        flat_hidden = None if hidden is None else hidden.to(scores.device).flatten(0, 1)
        streams = base.Streams(flat_hidden, flat, asked)
        return self._in_parts(method, scores.flatten(0, 1), streams).view(batch, kept, vocab)

    @contextlib.contextmanager
    def _steered(self, run: Callable[[str, int | Tensor], Tensor]) -> Iterator[None]:
        """The base model's hidden states are those of the activation method within; what it runs beside goes first."""
        activation = self.activation
        if activation is None:
            yield
            return
        beside: dict[str, Mapping[str, Tensor]] = {}
        for name, auxiliary in activation.auxiliaries.items():
            with watching(auxiliary.model, activation.places) as seen:
                run(name, 1)
            beside[name] = seen
        with steering(self.base, activation, beside):
            yield

    def _in_parts(self, method: base.LogitMethod, scores: Tensor, streams: base.Streams) -> Tensor:
        """The method over ``[rows, vocab]``, so many rows at a time that its temporaries stay small."""
        size = max(1, BLOCK // scores.shape[-1])
        out = scores if scores.dtype == torch.float32 else scores.new_empty(scores.shape, dtype=torch.float32)
        for start in range(0, len(scores), size):
            rows = slice(start, start + size)
            seen = base.Streams(
                hidden=None if streams.hidden is None else streams.hidden[rows],
                outputs={name: output[rows] for name, output in streams.outputs.items()},
                proposed={name: tokens[rows] for name, tokens in streams.proposed.items()},
            )
            part = self._scores(method, scores[rows].float(), seen)
            if len(part) == len(scores):
                return part
            out[rows] = part
        return out

    def _scores(self, method: base.LogitMethod, scores: Tensor, streams: base.Streams) -> Tensor:
        """The method's scores ``[rows, vocab]``, within the base model's nucleus of another mass where one is set."""
        if self.nucleus is None or not self.filtering or not method.truncates:
            return method.scores(scores, streams, self.filtering)
        # The method may write into what it is given.
        own = scores.clone()
        return within(method.scores(scores, streams, False), own, self.nucleus)


def _positions(ids: Tensor, mask: Tensor | None, past: int) -> Tensor:
    """``[batch, pos]`` counted from the first unmasked token, the cached ones included."""
    if mask is None:
        return torch.arange(past, past + ids.shape[1], device=ids.device).expand(len(ids), -1)
    return (mask.long().cumsum(-1) - 1).clamp_(min=0)[:, -ids.shape[1] :]


def check_method(method: str = "none", **arguments: Any) -> None:
    """Refuse a wrong method name or argument before any model is loaded.

    Raises:
        DetoxbenchError: saying what was given and what is allowed.
    """
    base.parse_arguments(method, METHODS[method], arguments)


def load_detoxified(
    pretrained: str | PreTrainedModel,
    method: str = "none",
    *,
    filtering: bool = True,
    model_args: Mapping[str, Any] | None = None,
    in_place: bool = False,
    **arguments: Any,
) -> PreTrainedModel:
    """A causal LM whose scores are those of ``pretrained`` under a detoxification method.

    Args:
        pretrained: folder, hub name, ``mini``, or a loaded model.
        method: a registered method.
        filtering: see ``DetoxifiedLM``.
        model_args: of the base model's ``from_pretrained`` (``dtype``, ``device_map``, ``revision``); the method's
            other models follow its precision and device.
        in_place: let a weight method change a loaded model itself, which saves a copy of it.
        arguments: the method's own.

    Raises:
        DetoxbenchError: for an unknown method, a wrong argument, or an artifact that does not fit the model.
    """
    kind = METHODS[method]
    parsed = base.parse_arguments(method, kind, arguments)
    model = pretrained
    if not isinstance(pretrained, PreTrainedModel):
        model = load_model(pretrained, "base model", **{"dtype": "auto", **(model_args or {})})
    if kind.kind == "none":
        return model
    if is_mini(model):
        parsed = base.parse_arguments(method, kind, with_artifacts(method, arguments))
    if kind.kind == "logit":
        return DetoxifiedLM(model, kind(model, parsed), filtering=filtering)
    if kind.kind == "selection":
        return DetoxifiedLM(model, selection=kind(model, parsed), filtering=filtering)
    if kind.kind == "activation":
        return DetoxifiedLM(model, activation=kind(model, parsed))
    if kind.kind == "prompt":
        return DetoxifiedLM(model, prefix=kind(model, parsed).prefix)
    own = in_place or model is not pretrained
    return _reweighted(model if own else copy.deepcopy(model), kind(model, parsed))


@torch.no_grad()
def _reweighted(model: PreTrainedModel, method: base.WeightMethod) -> PreTrainedModel:
    """The model with every parameter and buffer changed in place, shared ones once."""
    done: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in done:
            done.add(tensor.data_ptr())
            tensor.copy_(method.weight(name, tensor))
    return model
