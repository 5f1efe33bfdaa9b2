"""A detoxified model is a causal LM: the same interface for generation, log-likelihoods and perplexity."""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache

from ..core.errors import DetoxbenchError
from ..core.transformers_private import attention_choices, causal_output, restore_attention
from . import base
from .activation.hooks import steering, watching
from .guidance.nucleus import within
from .layers import capture_input
from .streams import BASE, CompositeCache, Stream, keep_positions

BLOCK = 1 << 25
"""Elements of ``[rows, vocab]`` that a method sees at once; more positions are done in parts, to bound memory."""


class DetoxifiedLM(PreTrainedModel, GenerationMixin):
    """A base model whose scores are changed by a logit method, and its hidden states by an activation method, at every
    position.

    Args:
        model: the base model; it stays as it is.
        method: a logit method, several of them, each of which sees the scores that the one before it left, or None.
        activation: an activation method, several of them, in order, or None; they change the base model, also where
            another method runs it a second time, but no other model beside it.
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
        method: base.LogitMethod | Sequence[base.LogitMethod] | None = None,
        *,
        activation: base.ActivationMethod | Sequence[base.ActivationMethod] | None = None,
        prefix: Sequence[int] = (),
        selection: base.SelectionMethod | None = None,
        filtering: bool = True,
    ):
        chosen = attention_choices(model.config)
        super().__init__(model.config)
        restore_attention(model.config, chosen)
        self.base = model
        self.methods: tuple[base.LogitMethod, ...] = _several(method)
        self.activations: tuple[base.ActivationMethod, ...] = _several(activation)
        self.selection = selection
        self.filtering = filtering
        self.nucleus: float | None = None
        """Mass of the base model's nucleus in place of the method's own ``filter_p``; may be set at any time. 1 keeps
        every token. Of use for methods that truncate alone."""
        _refuse_prefixes(model, self.activations, self.methods)
        several = [*self.activations, *self.methods]
        self._stream_names = _stream_names(several)
        auxiliaries = {
            self._stream_names[at][name]: aux for at, one in enumerate(several) for name, aux in one.auxiliaries.items()
        }
        # Registered, so that ``to`` moves them; the base model itself can be an auxiliary.
        self.auxiliaries = nn.ModuleDict({name: aux.model for name, aux in auxiliaries.items()})
        self.streams = {BASE: Stream(model, prefix)}
        self.streams |= {name: Stream(aux.model, aux.prefix) for name, aux in auxiliaries.items()}
        self.proposals = {name: aux.proposals for name, aux in auxiliaries.items() if aux.proposals > 0}
        self.generation_config = copy.deepcopy(model.generation_config)
        self.generation_config.top_k = 0  # transformers' own default is a hidden top-k of 50
        self.eval()

    @property
    def method(self) -> base.LogitMethod | None:
        """The logit method; of several the last, which alone may truncate."""
        return self.methods[-1] if self.methods else None

    @property
    def activation(self) -> base.ActivationMethod | None:
        """The activation method; of several the last."""
        return self.activations[-1] if self.activations else None

    @property
    def truncates(self) -> bool:
        """Whether scores are -inf outside a nucleus already: sample with ``top_p=1`` then."""
        if not self.filtering or not any(method.truncates for method in self.methods):
            return False
        return self.nucleus is None or self.nucleus < 1.0

    @property
    def guided_by(self) -> Sequence[str]:
        """Names of the scorers that the method asks while it runs."""
        asking = [*self.activations, *self.methods, *([] if self.selection is None else [self.selection])]
        return sorted({name for one in asking for name in one.guided_by})

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
        """transformers' own, with its streamers, beams and constraints.

        For many samples of a prompt ``detoxbench.sample`` is the better one, about twice as fast for 25 of them (1.8 to
        2.5 times in ``benchmarks/generation.py``): it runs each prompt once for all its samples, lets finished
        sequences leave the batch, and its noise depends on seed, prompt and sample alone. A choice among whole
        continuations is ``sample``'s too.

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
        kept: dict[str, Tensor] = {}
        proposed: dict[str, Tensor] = {}

        def run(name: str, keep: int | Tensor) -> Tensor:
            cache = None if caches is None else caches.streams[name]
            return self.streams[name].run(ids, mask, positions, cache, keep, proposed.get(name))

        with self._steered(run):
            for names in self._stream_names[len(self.activations) :]:
                kept |= {name: run(name, keep) for name in names.values() if name not in self.proposals}
            with contextlib.ExitStack() as watches:
                captured = {
                    layer: watches.enter_context(capture_input(self.base.get_submodule(layer)))
                    for layer in dict.fromkeys(method.key_layer for method in self.methods)
                    if layer is not None
                }
                scores = run(BASE, keep)
            if not self.methods:
                return scores.float()
            hidden = {layer: self._kept_states(one.states, ids, keep) for layer, one in captured.items()}
            for method, names in zip(self.methods, self._stream_names[len(self.activations) :], strict=True):
                for name in names.values():
                    if name in self.proposals:
                        proposed[name] = scores.topk(min(self.proposals[name], scores.shape[-1]), dim=-1).indices
                        kept[name] = run(name, keep)
                batch, count, vocab = scores.shape
                outputs, asked = (
                    {own: some[name].to(scores.device).flatten(0, 1) for own, name in names.items() if name in some}
                    for some in (kept, proposed)
                )
                states = None if method.key_layer is None else hidden[method.key_layer].to(scores.device).flatten(0, 1)
                streams = base.Streams(states, outputs, asked)
                scores = self._in_parts(method, scores.flatten(0, 1), streams).view(batch, count, vocab)
        return scores

    def _kept_states(self, states: Tensor, ids: Tensor, keep: int | Tensor) -> Tensor:
        """``[batch, kept, dim]`` of the text alone."""
        return keep_positions(states.reshape(len(ids), -1, states.shape[-1])[:, -ids.shape[1] :], keep)

    @contextlib.contextmanager
    def _steered(self, run: Callable[[str, int | Tensor], Tensor]) -> Iterator[None]:
        """The base model's hidden states are those of the activation methods within; what one runs beside goes first,
        changed by those before it."""
        with contextlib.ExitStack() as stack:
            for activation, names in zip(self.activations, self._stream_names, strict=False):
                beside: dict[str, Mapping[str, Tensor]] = {}
                for name, auxiliary in activation.auxiliaries.items():
                    with watching(auxiliary.model, activation.places) as seen:
                        run(names[name], 1)
                    beside[name] = seen
                stack.enter_context(steering(self.base, activation, beside))
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


def _several(given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Sequence) else (given,)


def _stream_names(several: Sequence[base.ActivationMethod | base.LogitMethod]) -> list[dict[str, str]]:
    """For each method, its auxiliary's name -> that of the stream; numbered where two methods have one name."""
    counts = Counter(name for one in several for name in one.auxiliaries)
    return [
        {name: name if counts[name] == 1 and name != BASE else f"{name}_{at}" for name in one.auxiliaries}
        for at, one in enumerate(several)
    ]


def _refuse_prefixes(
    model: PreTrainedModel, activations: Sequence[base.ActivationMethod], methods: Sequence[base.LogitMethod]
) -> None:
    """An activation method that looks at other readings of the text knows those of the text alone.

    Raises:
        DetoxbenchError: where the base model itself is run by another method, too.
    """
    looking = [one for one in activations if one.auxiliaries]
    if not looking:
        return
    ours = {id(module) for module in model.modules()}
    others = [one for one in (*activations, *methods) if one is not looking[0]]
    for other in others:
        for aux in other.auxiliaries.values():
            inside = [aux.model, *getattr(aux.model, "shared", ())]
            if any(id(module) in ours for one in inside for module in one.modules()):
                first, second = type(looking[0]).__name__, type(other).__name__
                raise DetoxbenchError(
                    f"{first} compares several readings of the text, and {second} has the base model read it once "
                    "more, in another way: they do not go together; choose one of them"
                )
