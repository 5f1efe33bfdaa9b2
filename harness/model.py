"""The lm-eval model ``detox``: any causal LM under any detoxification method."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from ..core.constants import MINI
from ..core.errors import DetoxbenchError
from ..core.mini import model_folder
from ..core.registry import METHODS
from ..core.sampling import Sampling
from ..core.sampling.room import scored_rows
from ..core.sampling.settings import boolean, resolve, whole
from ..core.sampling.thinking import MAX_THINKING
from ..methods import apply, preflight, provenance, tokenizer_preflight
from ..methods.loading import use_tokenizer
from . import caching, model_arguments, placement, quantisation, run_identity
from .by_vllm import arguments as vllm_arguments
from .by_vllm.model import VllmModel, load_engine
from .by_vllm.texts import likelihoods
from .chat import templated
from .drawing import Drawing, arguments_of
from .run_settings import RUN
from .run_statistics import RunStatistics

logger = logging.getLogger(__name__)


class DetoxLM(HFLM):
    """A Hugging Face causal LM under a detoxification method.

    Args:
        pretrained: folder or hub name; by default the embedded model ``mini``.
        method: a registered method; its arguments are given beside it.
        seed: of the sampling noise; by default lm-eval's ``--seed``.
        max_batch_tokens: bound on sequences x positions of a batch of sampled generation; ``batch_size`` is not needed.
            Texts do not depend on it in float32; in lower precision some differ, by rounding.
        filter_loglikelihood: whether a method's ``filter_p`` applies to log-likelihood requests too.
        align_nucleus: whether a method that cuts the base model's nucleus cuts it to the protocol's ``top_p`` in place
            of its own ``filter_p``.
        max_thinking_toks: tokens that a model with a ``think_end_token`` may think for, before its answer.
        backend: ``vllm`` computes scores by vLLM, for methods that are weights in the end or choose among whole texts.
        kwargs: arguments of the method, and of lm-eval's ``hf`` model.

    Raises:
        DetoxbenchError: for an unknown method or a wrong argument of it, before anything is loaded; for a model that
            cannot be loaded.
    """

    def __init__(
        self,
        pretrained: str = MINI,
        method: str = "none",
        seed: int | None = None,
        max_batch_tokens: int | None = None,
        filter_loglikelihood: bool = False,
        align_nucleus: bool = False,
        max_thinking_toks: int = MAX_THINKING,
        backend: str = "default",
        **kwargs: Any,
    ):
        kind = METHODS[METHODS.check(method)]
        self.method = method
        self.method_arguments = kind.spelled({name: kwargs.pop(name) for name in list(kwargs) if kind.owns(name)})
        apply.check_method(method, **self.method_arguments)
        self.seed = None if seed is None else whole("seed", seed)
        self.max_batch_tokens = model_arguments.positive("max_batch_tokens", max_batch_tokens)
        self.max_thinking_toks = model_arguments.positive("max_thinking_toks", max_thinking_toks) or MAX_THINKING
        self.filter_loglikelihood = boolean("filter_loglikelihood", filter_loglikelihood)
        self.align_nucleus = boolean("align_nucleus", align_nucleus)
        self.by_vllm = vllm_arguments.engine(backend, method, pretrained, kwargs, max_batch_tokens)
        kwargs = {name: value for name, value in kwargs.items() if name not in (self.by_vllm or {})}
        kwargs = model_arguments.checked(method, pretrained, kwargs)
        preflight.check(method, self.method_arguments, pretrained, kwargs.get("revision"))
        tokenizer_preflight.check(pretrained, kwargs.get("tokenizer"), **model_arguments.whereabouts(kwargs))
        if self.by_vllm is not None and RUN.get().cost:
            raise DetoxbenchError("cost: what a method costs is measured beside the base model: leave out backend=vllm")
        self.name = pretrained if isinstance(pretrained, str) else type(pretrained).__name__
        self.forget_run()
        self._content: dict[str, Any] | None = None
        self._asked = kwargs
        with model_arguments.loading(self.name, method):
            super().__init__(
                pretrained=model_folder(pretrained) if isinstance(pretrained, str) else pretrained,
                backend="default" if self.by_vllm is not None else backend,
                **kwargs,
            )
        model_arguments.check_backend(self.name, self.backend)
        self._model = model_arguments.unwrapped(self._model, method)
        if said := placement.slower_than_need_be(self._model):
            logger.warning(said)
        self.effective_arguments: dict[str, Any] = {}
        self.trained_with: list[str] = []
        self.trained_on: list[str] = []
        loading = kwargs if self.by_vllm is None else {**kwargs, "backend": backend, **self.by_vllm}
        self._loaded_with = {"pretrained": pretrained, "method": method, "arguments": {}, "loading": loading}
        for sampling in RUN.get().sampling:
            self.room(sampling)
        if method != "none":
            completed = provenance.completed(self._model, method, self.method_arguments)
            self.effective_arguments = provenance.effective(method, completed)
            self.trained_with = provenance.teachers(completed)
            self.trained_on = provenance.data(completed)
            self._loaded_with["arguments"] = completed
            if self.by_vllm is None:
                use_tokenizer(self._model, self.tokenizer)
                own = isinstance(pretrained, str)
                self._model = apply.load_detoxified(self._model, method, in_place=own, **completed)
            self.trained_with = sorted({*self.trained_with, *getattr(self._model, "guided_by", ())})

    def _create_model(self, pretrained: str, **kwargs: Any) -> None:
        """As lm-eval's, which hands ``load_in_4bit`` to a transformers that knows it no more; or an engine of vLLM."""
        if self.by_vllm is not None:
            model_arguments.check_backend(self.name, self.backend)
            self._model = load_engine(
                self.name, self.method, self.method_arguments, self.by_vllm, config=self.config,
                **{name: self._asked.get(name) for name in ("dtype", "revision", "tokenizer", "max_length")},
            )  # fmt: skip
            return
        asked = quantisation.configuration(kwargs)
        kwargs["dtype"] = quantisation.precision(kwargs.get("dtype"), self.config, asked)
        super()._create_model(pretrained, **{**kwargs, quantisation.CONFIG: asked})

    def forget_run(self) -> None:
        """Count what is recorded of a run anew: one model may serve several."""
        self.statistics = RunStatistics()

    @property
    def max_length(self) -> int:
        """Positions that a text may take: those of the model, or of the shortest model of the method, less what the
        method itself puts before every text."""
        found = model_arguments.positions(self.model, super().max_length)
        return min(found, self.model.positions) if isinstance(self.model, VllmModel) else found

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """As lm-eval's, which leaves a system message out where the template has no place for it.

        Raises:
            DetoxbenchError: for a tokenizer without a chat template, or a template that takes no system message: the
                record would name an instruction that the model never saw.
        """
        return templated(self.tokenizer, self.name, chat_history, add_generation_prompt, self.chat_template_args)

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refuse lm-eval's cache.

        Raises:
            DetoxbenchError: always, but for a hook that caches nothing.
        """
        if getattr(cache_hook, "dbdict", None) is not None:
            raise caching.refused("the model 'detox'")
        super().set_cache_hook(cache_hook)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Responses to the requests, in order. lm-eval repeats a request K times for K samples; a prompt's samples
        share one prefill here, and its i-th repetition is its i-th sample, whichever process or batch it is in.

        Settings that only transformers' ``generate`` knows (beams, …) are passed on to it.

        Raises:
            DetoxbenchError: for a wrong setting, or one that leaves no room for a prompt, before anything is generated.
        """
        for request in requests:
            # Where the task that asks, which knows its judge, finds it (``tasks/task.py``).
            request.trained_with = self.trained_with  # type: ignore[attr-defined]
        groups: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(repr(arguments_of(request)[1]), []).append(place)
        plans = []
        for places in groups.values():
            given = arguments_of(requests[places[0]])[1]
            sampling = self._settings(given)
            self.room(sampling)
            others = model_arguments.of_transformers(given)
            if others and self.by_vllm is not None:
                raise vllm_arguments.of_transformers_alone(others)
            plans.append((places, sampling, others))
        responses: list[str] = [""] * len(requests)
        for places, sampling, others in plans:
            chosen = [requests[place] for place in places]
            drawing = Drawing(self, sampling, silent=disable_tqdm)
            found = drawing.by_transformers(chosen, others) if others else drawing.by_sampler(chosen)
            for place, text in zip(places, found, strict=True):
                responses[place] = text
        return responses

    def _loglikelihood_tokens(self, *args: Any, **kwargs: Any) -> list[tuple[float, bool]]:
        """As lm-eval's, on the whole distribution: where a method truncates, most texts would have no likelihood."""
        if isinstance(self.model, VllmModel):
            requests = kwargs["requests"] if "requests" in kwargs else args[0]
            return likelihoods(self.model, requests, silent=self.rank != 0)
        filtering = getattr(self.model, "filtering", None)
        if filtering is None or self.filter_loglikelihood:
            return super()._loglikelihood_tokens(*args, **kwargs)
        self.model.filtering = False
        try:
            return super()._loglikelihood_tokens(*args, **kwargs)
        finally:
            self.model.filtering = filtering

    def _detect_batch_size(self, requests: Sequence | None = None, pos: int = 0) -> int:
        """``batch_size=auto``. lm-eval tries larger and larger batches until memory runs out, which on a processor is
        no error but the end of the process: there the bytes of the scores decide."""
        if isinstance(self.model, VllmModel):
            return self.max_batch_size  # it makes batches itself
        if self.device.type != "cpu":
            return super()._detect_batch_size(requests, pos)
        length = self.max_length
        if requests:
            _, context, continuation = requests[pos]
            length = min(len(context) + len(continuation), length)
        return min(self.max_batch_size, scored_rows(self.model, length))

    def _settings(self, given: Mapping[str, Any]) -> Sampling:
        """What the sampler gets, and the record holds."""
        seed = RUN.get().seed if self.seed is None else self.seed
        sampling = resolve(given, seed=seed, length=self.max_gen_toks)
        eos_text = self.tok_decode([self.eot_token_id], skip_special_tokens=False)
        stop = tuple(text for text in sampling.stop if text != eos_text)
        sampling = Sampling(**{**vars(sampling), "stop": stop})
        mass = provenance.nucleus(self.effective_arguments)
        if self.align_nucleus and sampling.do_sample:
            mass = sampling.top_p
        # A method that filters cuts the nucleus itself, from the base model's scores; a second cut would be another
        # method's.
        if getattr(self.model, "truncates", False) and mass != 1.0:
            sampling = sampling.cut_by_method(mass)
        if sampling.unlike:
            logger.warning(
                f"method '{self.method}' cuts the base model's nucleus to {sampling.nucleus_method}, while the base "
                f"model alone is sampled with top-p {sampling.nucleus_base}: they differ in more than the method; "
                "--model_args align_nucleus=true gives both the protocol's"
            )
        return sampling

    @contextlib.contextmanager
    def aligned(self, sampling: Sampling):
        """The model cutting its nucleus where ``align_nucleus`` says."""
        if not self.align_nucleus or not sampling.do_sample or not hasattr(self.model, "nucleus"):
            yield
            return
        self.model.nucleus = sampling.nucleus_base
        try:
            yield
        finally:
            self.model.nucleus = None

    def content(self) -> dict[str, Any] | None:
        """All that texts depend on beside prompts and sampling, files as hashes; None where it is not known."""
        if self._content is None:
            self._content = run_identity.of_model(self.model, **self._loaded_with)
        return self._content and {
            **self._content,
            "align_nucleus": self.align_nucleus,
            "end": self.end_tokens(),
            "thinking": [self.think_end_token, self.max_thinking_toks],
            "max_batch_tokens": self.max_batch_tokens,
            "mixed_precision": str(self.mixed_precision_dtype),
        }

    def autocast(self) -> torch.autocast:
        """In the precision that was asked for beside that of the weights."""
        dtype = self.mixed_precision_dtype
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)

    def room(self, sampling: Sampling) -> int:
        """Tokens that a prompt may have.

        Raises:
            DetoxbenchError: where the continuation, and the thoughts before it, leave none.
        """
        thoughts = self.max_thinking_toks if self.think_end_token is not None else 0
        room = self.max_length - sampling.max_new_tokens - thoughts
        if room < 1:
            before = f" after {thoughts} tokens of thoughts (max_thinking_toks)" if thoughts else ""
            raise DetoxbenchError(
                f"max_gen_toks={sampling.max_new_tokens}{before} leaves no room for a prompt: the model "
                f"'{self.name}' with method '{self.method}' has room for {self.max_length} tokens"
            )
        return room

    def prompt_tokens(self, prompt: str, sampling: Sampling) -> list[int]:
        """Token ids of a prompt, cut on the left where the model has no room for them and the new tokens; the token
        that begins texts stays."""
        tokens = self.tok_encode(prompt)
        begins = self.tokenizer.bos_token_id
        lacking = begins is not None and tokens[:1] != [begins]
        if lacking and self.add_bos_token is not False and model_arguments.needs_bos(self.config):
            tokens = [begins, *tokens]
        tokens = tokens or [self.prefix_token_id]
        room = self.room(sampling)
        if len(tokens) <= room:
            return tokens
        self.statistics.cut.add(prompt)
        if len(self.statistics.cut) == 1:
            logger.warning(
                f"a prompt of {len(tokens)} tokens is cut on the left to {room}, for which there is room beside "
                f"{sampling.max_new_tokens} new ones; results count such prompts (cut_prompts)"
            )
        head = tokens[:1] if tokens[0] == begins and room > 1 else []
        return head + tokens[len(tokens) - room + len(head) :]

    def end_tokens(self) -> list[int]:
        """End tokens of the tokenizer and of the model's generation settings."""
        ids = {self.eot_token_id}
        configured = getattr(getattr(self.model, "generation_config", None), "eos_token_id", None)
        ids.update(configured if isinstance(configured, list) else [configured])
        return sorted(token for token in ids if token is not None)

    def get_model_info(self) -> dict[str, Any]:
        """lm-eval's record of the model, with the run's under ``detoxbench``."""
        info = super().get_model_info() if isinstance(self.pretrained, str) and self.name != MINI else {}
        seed = RUN.get().seed if self.seed is None else self.seed
        run = self.statistics.record(
            self.name, self.device, seed, method=self.method, method_arguments=self.method_arguments,
            effective_arguments=self.effective_arguments, trained_with=self.trained_with, trained_on=self.trained_on,
            backend="transformers" if self.by_vllm is None else vllm_arguments.BACKEND,
        )  # fmt: skip
        return {**info, "detoxbench": run.model_dump()}
