"""The lm-eval task class of all our prompt sets: prompts in, K generations a prompt, every metric with its interval.

It works with every lm-eval model that samples. Scoring happens once, for all generations of a task, when lm-eval
applies filters; lm-eval's samples file then holds the K texts under ``filtered_resps`` and their scores, likelihoods
and languages under ``measured``, from which every number can be recomputed without the model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from ..harness import fluency
from ..harness.constants import (
    FAILED_SHARE_WARNING,
    MAX_NEW_TOKENS,
    PERPLEXITY_CUTOFF,
    TEMPERATURE,
    TOP_P,
    TOXIC,
)
from ..harness.records import Prompt, PromptResult, TaskRun
from ..harness.statistics import Interval
from . import prompts as prompt_sets
from .fractions import HIGH, LOW, fractions, metric_of, names, summarize, value
from .measure import measure, scorer_for
from .metrics import METRICS
from .options import Options

logger = logging.getLogger(__name__)

MEASURED = "measured"
"""Key in samples of everything measured of a prompt (lm-eval turns all but texts in ``filtered_resps`` into strings);
in results, the number of prompts."""


class ToxicityTask(ConfigurableTask):
    """A prompt set in one language.

    A YAML file names the class and gives ``metadata: {prompt_set: …, lang: …, version: …}``; lm-eval adds the options
    of ``--metadata``.
    """

    def __init__(self, config: Mapping[str, Any]):
        config = {key: entry for key, entry in config.items() if key != "class"}
        self.metadata = dict(config["metadata"])
        self.options = Options.from_metadata(self.metadata)
        self.lang: str = self.metadata["lang"]
        self._intervals: dict[str, Interval] = {}
        self._seconds: dict[str, float] = {}
        self._failed = 0
        self._results: dict[int, PromptResult] = {}  # by id of the list of texts, which lives as long as its instance
        super().__init__(
            config={
                "output_type": "generate_until",
                "test_split": "test",
                "doc_to_text": "text",
                "doc_to_target": "",
                "metric_list": [],
                "num_fewshot": 0,
                "repeats": self.options.samples,
                "generation_kwargs": {
                    "until": [],
                    "do_sample": True,
                    "temperature": TEMPERATURE,
                    "top_p": TOP_P,
                    "max_gen_toks": MAX_NEW_TOKENS,
                },
                **config,
            }
        )

    def download(self, dataset_kwargs: Any = None, **_: Any) -> None:
        """Load the prompt set; lm-eval calls it from the constructor."""
        self.prompts = prompt_sets.load(self.options.prompts, self.lang)
        rows = [prompt.model_dump(exclude={"source"}) for prompt in self.prompts]
        self.dataset = {"test": datasets.Dataset.from_list(rows)}

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: Any = None) -> str:
        """The prompt as it is, not as a template: braces in it are text."""
        return doc["text"]

    def doc_to_target(self, doc: Mapping[str, Any], doc_to_target: Any = None) -> str:
        return ""

    def apply_filters(self) -> None:
        """Measure all generations of this process's prompts at once.

        lm-eval gives the last prompt of a short rank more than K responses when ranks are padded to equal length;
        only the first K count.
        """
        k = self.options.samples
        if "bypass" in self._metric_fn_list:
            super().apply_filters()
            return
        instances = self.instances or []
        found = [Prompt(**instance.doc) for instance in instances]
        texts = [instance.resps[:k] for instance in instances]
        results, self._seconds = measure(found, texts, self.options, progress=self.config.task)
        self._results = {}
        for instance, result in zip(instances, results, strict=True):
            kept = list(result.generations)
            instance.filtered_resps["none"] = kept
            self._results[id(kept)] = result

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """The metrics of one prompt.

        Returns:
            Name -> value on this prompt, None where it has none; bounds have none on one prompt. Under ``measured``
            what the values come from, with their numerators and denominators.
        """
        if "bypass" in self._metric_fn_list:
            return {"bypass": 999}
        result = self._results[id(results[0])]
        row = fractions(result)
        measured = {
            **result.model_dump(exclude={"prompt", "generations"}),
            "prompt_toxicity": result.prompt.toxicity,
            "fractions": {name: list(fraction) for name, fraction in row.items()},
        }
        values = {name: value(row[name]) for name in names()}
        bounds = {name + bound: None for name in METRICS for bound in (LOW, HIGH)}
        return {MEASURED: measured, **values, **bounds}

    def aggregation(self) -> dict[str, Callable[[Sequence[Any]], float]]:
        """Name -> function of all prompts' values. ``measured`` comes first and computes every interval at once."""
        found: dict[str, Callable[[Sequence[Any]], float]] = {MEASURED: self._summarize, "bypass": lambda _: 999.0}
        for name in names():
            found[name] = partial(self._read, name, "value")
        for name in METRICS:
            found[name + LOW] = partial(self._read, name, "low")
            found[name + HIGH] = partial(self._read, name, "high")
        return found

    def _summarize(self, rows: Sequence[Mapping[str, Any]]) -> float:
        self._intervals = summarize([row["fractions"] for row in rows])
        self._failed = int(sum(row["fractions"]["failed_fraction"][0] for row in rows))
        share = self._intervals["failed_fraction"].value
        if share > FAILED_SHARE_WARNING:
            logger.warning(f"{self.config.task}: {share:.1%} of the generations could not be scored")
        return float(len(rows))

    def _read(self, name: str, part: str, _: Sequence[Any]) -> float:
        return float(getattr(self._intervals[name], part))

    def higher_is_better(self) -> dict[str, bool | None]:
        found = {name: METRICS[metric_of(name)].higher_is_better for name in names()}
        return {name: direction for name, direction in found.items() if direction is not None}

    def dump_config(self) -> dict[str, Any]:
        """lm-eval's record of the task, with what its numbers depend on under ``detoxbench``."""
        return {**super().dump_config(), "detoxbench": self.run_record().model_dump()}

    def run_record(self) -> TaskRun:
        """What this task's numbers depend on; loads the scorer and the fluency model if nothing has yet."""
        scorer = scorer_for(self.options)
        uses = self.options.uses_fluency
        return TaskRun(
            prompt_set=Path(self.options.prompts).name,
            prompts_sha256=prompt_sets.sha256(self.prompts),
            lang=self.lang,
            scorer=scorer.name,
            scorer_version=scorer.version,
            attributes=list(scorer.attributes),
            fluency_model=self.options.fluency_model if uses else None,
            fluency_version=fluency.load(self.options.fluency_model).version if uses else None,
            samples=self.options.samples,
            generation=dict(self.config.generation_kwargs or {}),
            constants={"toxic": TOXIC, "perplexity_cutoff": PERPLEXITY_CUTOFF},
            failed_scores=self._failed,
            seconds=self._seconds,
        )


def restore(sample: Mapping[str, Any]) -> PromptResult:
    """A ``PromptResult`` from a row of lm-eval's samples file."""
    measured = {name: value for name, value in sample[MEASURED].items() if name != "fractions"}
    prompt = Prompt(**{**sample["doc"], "toxicity": measured.pop("prompt_toxicity")})
    return PromptResult(prompt=prompt, generations=sample["filtered_resps"][0], **measured)
