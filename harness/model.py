"""The lm-eval model ``detox``: any causal LM under any detoxification method."""

from __future__ import annotations

import inspect
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from tqdm import tqdm

from ..core.constants import MINI
from ..core.errors import DetoxbenchError
from ..core.mini import model_folder
from ..core.records import ModelRun
from ..core.registry import METHODS
from ..core.sampling import Sampling, generate
from ..core.sampling.engine import Request
from ..core.sampling.noise import prompt_key
from ..core.versions import installed
from ..methods import lm, provenance

_SAMPLED = {"do_sample", "temperature", "top_p", "top_k"}


class DetoxLM(HFLM):
    """A Hugging Face causal LM under a detoxification method.

    Args:
        pretrained: folder or hub name; by default the embedded model ``mini``.
        method: a registered method; its arguments are given beside it.
        seed: of the sampling noise; by default lm-eval's ``--seed``.
        max_batch_tokens: bound on sequences x positions of a batch of sampled generation; ``batch_size`` is not needed.
        filter_loglikelihood: whether a method's ``filter_p`` applies to log-likelihood requests too.
        kwargs: arguments of the method, and of lm-eval's ``hf`` model.

    Raises:
        DetoxbenchError: for an unknown method or a wrong argument of it, before anything is loaded.
    """

    def __init__(
        self,
        pretrained: str = MINI,
        method: str = "none",
        seed: int | None = None,
        max_batch_tokens: int | None = None,
        filter_loglikelihood: bool = False,
        **kwargs: Any,
    ):
        fields = METHODS[METHODS.check(method)].Arguments.model_fields
        self.method = method
        self.method_arguments = {name: kwargs.pop(name) for name in list(kwargs) if name in fields}
        lm.check_method(method, **self.method_arguments)
        _check_strangers(method, kwargs)
        if isinstance(pretrained, str) and pretrained.startswith(("/", ".", "~")) and not Path(pretrained).is_dir():
            raise DetoxbenchError(
                f"pretrained='{pretrained}': there is no such folder; give a model's folder, its name on the hub, "
                f"or '{MINI}'"
            )
        if max_batch_tokens is not None and (not isinstance(max_batch_tokens, int) or max_batch_tokens < 1):
            raise DetoxbenchError(f"max_batch_tokens={max_batch_tokens}: it must be a whole number of at least 1")
        self.name = pretrained if isinstance(pretrained, str) else type(pretrained).__name__
        self.seed = seed
        self.max_batch_tokens = max_batch_tokens
        self.filter_loglikelihood = filter_loglikelihood
        self._generated = 0
        self._seconds = 0.0
        self._sampling: dict[str, Any] = {}
        kwargs.setdefault("device", "cuda" if torch.cuda.is_available() else "cpu")
        super().__init__(pretrained=model_folder(pretrained) if isinstance(pretrained, str) else pretrained, **kwargs)
        self.effective_arguments: dict[str, Any] = {}
        self.trained_with: list[str] = []
        if method != "none":
            completed = provenance.completed(self._model, method, self.method_arguments)
            self.effective_arguments = provenance.effective(method, completed)
            self.trained_with = provenance.teachers(completed)
            own = isinstance(pretrained, str)
            self._model = lm.load_detoxified(self._model, method, in_place=own, **completed)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Responses to the requests, in order. lm-eval repeats a request K times for K samples; a prompt's samples
        share one prefill here, and its i-th repetition is its i-th sample, whichever process or batch it is in.

        Settings that only transformers' ``generate`` knows (beams, …) are passed on to it.
        """
        for request in requests:
            # Where the task that asks, which knows its judge, finds it (``tasks/base.py``).
            request.trained_with = self.trained_with  # type: ignore[attr-defined]
        responses: list[str] = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(repr(_arguments(request)[1]), []).append(place)
        for places in groups.values():
            settings = normalize_gen_kwargs(dict(_arguments(requests[places[0]])[1]), self.max_gen_toks)
            chosen = [requests[place] for place in places]
            if set(settings) - _SAMPLED - {"until", "max_gen_toks"}:
                found = super().generate_until(chosen, disable_tqdm)
            else:
                found = self._sample(chosen, settings, disable_tqdm)
            for place, text in zip(places, found, strict=True):
                responses[place] = text
        return responses

    def _loglikelihood_tokens(self, *args: Any, **kwargs: Any) -> list[tuple[float, bool]]:
        """As lm-eval's, on the whole distribution: where a method truncates, most texts would have no likelihood."""
        filtering = getattr(self.model, "filtering", None)
        if filtering is None or self.filter_loglikelihood:
            return super()._loglikelihood_tokens(*args, **kwargs)
        self.model.filtering = False
        try:
            return super()._loglikelihood_tokens(*args, **kwargs)
        finally:
            self.model.filtering = filtering

    def _sample(self, requests: Sequence[Instance], settings: Mapping[str, Any], disable_tqdm: bool) -> list[str]:
        sampling = self._settings(settings)
        eos_text = self.tok_decode([self.eot_token_id], skip_special_tokens=False)
        stop = [text for text in handle_stop_sequences(settings.get("until"), eos=eos_text) if text != eos_text]
        # The same prompt text asked for by two documents is one prompt with one set of samples.
        occurrences: dict[int, int] = {}
        samples: list[tuple[str, int]] = []
        wanted: dict[str, int] = {}
        for request in requests:
            index = occurrences[id(request)] = occurrences.get(id(request), -1) + 1
            samples.append((_arguments(request)[0], index))
            wanted[_arguments(request)[0]] = max(wanted.get(_arguments(request)[0], 0), index + 1)
        prompts = list(wanted)
        encoded = [self._encode(prompt, sampling.max_new_tokens) for prompt in prompts]
        outputs = self._run(prompts, encoded, wanted, sampling, stop, disable_tqdm)
        texts = {
            (prompt, index): self._text(tokens, stop)
            for prompt, output in zip(prompts, outputs, strict=True)
            for index, tokens in enumerate(output)
        }
        return [texts[sample] for sample in samples]

    def _run(
        self,
        prompts: Sequence[str],
        encoded: Sequence[list[int]],
        wanted: Mapping[str, int],
        sampling: Sampling,
        stop: Sequence[str],
        disable_tqdm: bool,
    ) -> list[list[list[int]]]:
        start = time.perf_counter()
        rows = [
            Request(tokens, prompt_key(prompt), range(wanted[prompt]))
            for prompt, tokens in zip(prompts, encoded, strict=True)
        ]
        with tqdm(total=len(rows), unit="prompt", desc="generation", disable=disable_tqdm or self.rank != 0) as bar:
            count = 0

            def on_batch(finished: int, tokens: int) -> None:
                nonlocal count
                count += tokens
                bar.set_postfix_str(f"{count / (time.perf_counter() - start):,.0f} tokens/s", refresh=False)
                bar.update(finished)

            outputs = generate(
                self.model,
                rows,
                sampling,
                eos=self._eos(),
                pad=self.tokenizer.pad_token_id or 0,
                batch_tokens=self.max_batch_tokens,
                should_stop=(lambda tokens: self._stops(tokens, stop)) if stop else None,
                on_batch=on_batch,
            )
        self._generated += count
        self._seconds += time.perf_counter() - start
        return outputs

    def _settings(self, settings: Mapping[str, Any]) -> Sampling:
        seed = torch.initial_seed() if self.seed is None else self.seed
        do_sample = bool(settings.get("do_sample", False))
        # A method that filters has cut the nucleus itself, from the base model's scores; a second cut would be another
        # method's.
        truncated = getattr(self.model, "truncates", False)
        sampling = Sampling(
            max_new_tokens=int(settings["max_gen_toks"]),
            top_p=1.0 if truncated else float(settings.get("top_p", 1.0)),
            temperature=float(settings.get("temperature") or 1.0) if do_sample else 1.0,
            top_k=int(settings.get("top_k") or 0),
            do_sample=do_sample,
            seed=int(seed),
        )
        self._sampling = {name: value for name, value in vars(sampling).items() if name != "seed"}
        return sampling

    def _encode(self, prompt: str, room: int) -> list[int]:
        """Token ids of a prompt, cut on the left where the model has no room for them and the new tokens."""
        tokens = self.tok_encode(prompt) or [self.prefix_token_id]
        return tokens[-max(self.max_length - room, 1) :]

    def _eos(self) -> list[int]:
        """End tokens of the tokenizer and of the model's generation settings."""
        ids = {self.eot_token_id}
        configured = getattr(getattr(self.model, "generation_config", None), "eos_token_id", None)
        ids.update(configured if isinstance(configured, list) else [configured])
        return sorted(token for token in ids if token is not None)

    def _stops(self, tokens: list[int], stop: Sequence[str]) -> bool:
        """Whether a stop string has come up; looked for in the last tokens only."""
        tail = self.tok_decode(tokens[-(max(map(len, stop)) + 4) :])
        return any(text in tail for text in stop)

    def _text(self, tokens: list[int], stop: Sequence[str]) -> str:
        return postprocess_generated_text(self.tok_decode(tokens), list(stop), None)

    def get_model_info(self) -> dict[str, Any]:
        """lm-eval's record of the model, with the run's under ``detoxbench``."""
        info = super().get_model_info() if isinstance(self.pretrained, str) and self.name != MINI else {}
        run = ModelRun(
            pretrained=self.name,
            method=self.method,
            method_arguments=self.method_arguments,
            effective_arguments=self.effective_arguments,
            trained_with=self.trained_with,
            sampling=self._sampling,
            seed=torch.initial_seed() if self.seed is None else self.seed,
            versions={"python": platform.python_version(), **installed()},
            hardware=_hardware(self.device),
            seconds=round(self._seconds, 3),
            tokens=self._generated,
            tokens_per_second=round(self._generated / self._seconds, 1) if self._seconds else None,
        )
        return {**info, "detoxbench": run.model_dump()}


def _arguments(request: Instance) -> tuple[str, dict[str, Any]]:
    """Context and generation settings of a ``generate_until`` request."""
    return cast("tuple[str, dict[str, Any]]", request.args)


def _check_strangers(method: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments of other methods, which lm-eval would hand on to transformers."""
    known = inspect.signature(HFLM.__init__).parameters
    for key in kwargs:
        if key not in known:
            owners = [name for name in METHODS if key in METHODS[name].Arguments.model_fields]
            if owners:
                raise DetoxbenchError(
                    f"method '{method}' takes no argument '{key}': it belongs to {', '.join(owners)}; "
                    f"choose one with --model_args method=…,{key}={kwargs[key]}"
                )


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.get_num_threads()} threads"
