"""How the model ``detox`` answers requests: samples of each prompt drawn by the sampler, or by transformers' own
``generate``; kept while they come; counted, and made texts."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from lm_eval.api.instance import Instance

from ..core.sampling import Request, Sampling, generate
from ..core.sampling.noise import prompt_key
from ..methods.selection import forward_passes, select, to_draw
from . import cost, journal
from .by_transformers import continued
from .by_vllm.model import VllmModel
from .by_vllm.texts import generate as generate_by_vllm
from .progress import Progress
from .responses import Responses
from .run_settings import RUN


class Drawing:
    """Of requests with one way to sample.

    Args:
        lm: a ``DetoxLM``, whose ``statistics`` count what is drawn.
        sampling: how.
        silent: no progress.
    """

    def __init__(self, lm: Any, sampling: Sampling, *, silent: bool = True):
        self.lm, self.sampling, self.silent = lm, sampling, silent

    def by_sampler(self, requests: Sequence[Instance]) -> list[str]:
        """By our own: the i-th repetition of a request is the prompt's i-th sample."""
        sampling = self.sampling
        # The same prompt text asked for by two documents is one prompt with one set of samples.
        occurrences: dict[int, int] = {}
        samples: list[tuple[str, int]] = []
        wanted: dict[str, int] = {}
        langs: dict[str, set[str]] = {}
        for request in requests:
            index = occurrences[id(request)] = occurrences.get(id(request), -1) + 1
            samples.append((arguments_of(request)[0], index))
            langs.setdefault(arguments_of(request)[0], set()).update(_languages(request))
            wanted[arguments_of(request)[0]] = max(wanted.get(arguments_of(request)[0], 0), index + 1)
        rows = [
            Request(self.lm.prompt_tokens(prompt, sampling), prompt_key(prompt), range(count), prompt)
            for prompt, count in wanted.items()
        ]
        responses = self._responses()
        self.lm.statistics.draws(sampling.record(), sampling.seed)
        with self.lm.aligned(sampling):
            spoken = [langs[row.text] for row in rows]
            outputs = self._drawn_by_method(rows, responses, spoken)
            self._measure_cost(rows)
        texts = {
            (row.text, index): responses.text(row.tokens, tokens)
            for row, output in zip(rows, outputs, strict=True)
            for index, tokens in enumerate(output)
        }
        self.lm.statistics.cut_while_thinking += responses.cut_while_thinking
        return [texts[sample] for sample in samples]

    def _measure_cost(self, rows: Sequence[Request]) -> None:
        """Once a run, on its first prompts, where it asks for it."""
        if self.lm.statistics.cost or not rows or self.lm.rank != 0 or not RUN.get().cost:
            return
        judged = self._responses()
        pad = self.lm.tokenizer.pad_token_id or 0
        self.lm.statistics.cost = cost.measure(self.lm.model, rows, self.sampling, judged.text, pad)

    def _drawn_by_method(
        self, rows: Sequence[Request], responses: Responses, langs: Sequence[Collection[str]]
    ) -> list[list[list[int]]]:
        """The samples of each prompt; a selection method keeps some of more."""
        selection = getattr(self.lm.model, "selection", None)
        if selection is None:
            return self._run(rows, responses, langs)
        wanted = [to_draw(row, selection.draws) for row in rows]
        outputs = self._run(wanted, responses, langs)
        stops = responses.stops if self.sampling.stop else None
        thoughts = self.lm.max_thinking_toks if responses.thinking else 0
        passes = forward_passes(wanted, outputs, self.sampling, stops, thoughts)
        judged = self._responses()
        tags = [min(found, default=None) for found in langs]
        found = select(selection, rows, outputs, judged.text, tags, passes)
        self.lm.statistics.selection.update(found.cost)
        return found.tokens

    def _run(
        self, rows: Sequence[Request], responses: Responses, langs: Sequence[Collection[str]]
    ) -> list[list[list[int]]]:
        start, sampling = time.perf_counter(), self.sampling
        kept = self.kept(rows)
        samples = [len(row.samples) for row in rows]
        progress = Progress(langs, samples, kept.done, silent=self.silent or self.lm.rank != 0)
        count = 0
        with self.lm.autocast(), progress:
            whole: list[int] = []

            def on_whole(finished: Mapping[int, list[list[int]]]) -> None:
                kept.whole(finished)
                whole[:] = [kept.left[place] for place in finished]

            def on_batch(_: int, tokens: int) -> None:
                nonlocal count
                count += tokens
                progress.batch(whole, tokens)

            left, eos = [rows[place] for place in kept.left], self.lm.end_tokens()
            if isinstance(self.lm.model, VllmModel):
                outputs = generate_by_vllm(
                    self.lm.model, left, sampling, eos=eos, on_batch=on_batch, on_whole=on_whole
                )  # fmt: skip
            else:
                outputs = generate(
                    self.lm.model,
                    left,
                    sampling,
                    eos=eos,
                    pad=self.lm.tokenizer.pad_token_id or 0,
                    batch_tokens=self.lm.max_batch_tokens,
                    should_stop=responses.stops if sampling.stop else None,
                    thinking=responses.thinking,
                    on_batch=on_batch,
                    on_whole=on_whole,
                )
        self.lm.statistics.tokens += count + sum(len(tokens) for done in kept.done.values() for tokens in done)
        self.lm.statistics.seconds += time.perf_counter() - start + kept.seconds
        return kept.all(outputs)

    def kept(self, rows: Sequence[Request]) -> journal.Kept:
        """What an earlier run with the same command has finished."""
        run = journal.CURRENT.get()
        if run is None:
            return journal.Kept([""] * len(rows), None)
        content = self.lm.content()
        sampling = {**self.sampling.record(), "seed": self.sampling.seed}
        return run.kept(rows, content and {**content, "sampling": sampling})

    def by_transformers(self, requests: Sequence[Instance], others: Mapping[str, Any]) -> list[str]:
        """By transformers' own ``generate``, from its own noise: samples depend on the batch.

        Args:
            requests: those that ask for them.
            others: settings that transformers alone knows.
        """
        sampling = self.sampling
        responses = self._responses()
        prompts = [self.lm.prompt_tokens(arguments_of(request)[0], sampling) for request in requests]
        self.lm.statistics.draws({**sampling.record(), **others}, sampling.seed)
        torch.manual_seed(sampling.seed % 2**63)
        start, eos = time.perf_counter(), self.lm.end_tokens()
        pad = self.lm.tokenizer.pad_token_id
        langs = [_languages(request) for request in requests]
        progress = Progress(langs, [1] * len(requests), silent=self.silent or self.lm.rank != 0)
        with self.lm.aligned(sampling), self.lm.autocast(), progress:
            found = continued(
                self.lm.model, prompts, sampling, others, responses, eos=eos, pad=eos[0] if pad is None else pad,
                batch_tokens=self.lm.max_batch_tokens, on_batch=progress.batch,
            )  # fmt: skip
        self.lm.statistics.tokens += sum(map(len, found))
        self.lm.statistics.seconds += time.perf_counter() - start
        texts = [responses.text(prompt, new) for prompt, new in zip(prompts, found, strict=True)]
        self.lm.statistics.cut_while_thinking += responses.cut_while_thinking
        return texts

    def _responses(self) -> Responses:
        return Responses(self.lm.tokenizer, self.sampling, self.lm.think_end_token, self.lm.max_thinking_toks)


def arguments_of(request: Instance) -> tuple[str, dict[str, Any]]:
    """Context and generation settings of a ``generate_until`` request."""
    return cast("tuple[str, dict[str, Any]]", request.args)


def _languages(request: Instance) -> Sequence[str]:
    """The language that a request's document says it is in."""
    lang = request.doc.get("lang") if isinstance(request.doc, Mapping) else None
    return [lang] if isinstance(lang, str) else []
