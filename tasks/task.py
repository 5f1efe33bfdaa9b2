"""The lm-eval task class of all our prompt sets: prompts in, K generations a prompt, every metric with its interval.

It works with every lm-eval model that samples. Scoring happens once, for all generations of a task, when lm-eval
applies filters; lm-eval's samples file then holds the K texts under ``filtered_resps`` and their scores, likelihoods
and languages under ``measured``, from which every number can be recomputed without the model.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from ..core import fluency
from ..core.constants import FAILED_SHARE_WARNING, PERPLEXITY_CUTOFF, TOXIC
from ..core.data_overlap import trained_on
from ..core.metric_names import BOUNDS, LOW, MEASURED, metric_of
from ..core.metrics import METRICS
from ..core.metrics.fractions import fractions, names, of_samples, summarize, value
from ..core.records import Measurements, PromptResult, SampleDoc, TaskRun
from ..core.results import DEGENERATE, degenerate
from ..core.statistics import Interval
from . import journal, progress, unscored
from . import prompts as prompt_sets
from .catalog import tasks
from .defaults import chosen
from .groups import Groups, summarize_groups
from .instructions import BASE, CHAT, asked, chat_message, language, without_prompt
from .measure import measure, scorer_for, work
from .options import Options
from .preflight import ONE_SEED
from .prompts import PromptSelection
from .protocols import PROTOCOLS

logger = logging.getLogger(__name__)


class ToxicityTask(ConfigurableTask):
    """A prompt set in one language, or in several.

    The configuration says what the task is about under ``detoxbench`` (see ``catalog.py``), or, in a YAML file that
    names this class, as ``metadata: {prompt_set: …, lang: …}``; lm-eval adds the options of ``--metadata``.
    """

    def __init__(self, config: Mapping[str, Any]):
        self.where = _where(config)
        prompt_set = prompt_sets.get(self.where.prompt_set)
        config = {key: entry for key, entry in config.items() if key not in ("class", "detoxbench")}
        self.options = Options.from_metadata(config["metadata"], prompt_set.protocol, prompt_set.samples)
        self.protocol = BASE
        self._system: str | None = None
        self._intervals: dict[str, Interval] = {}
        self._seconds: dict[str, float] = {}
        self._failed = 0
        self._counts: dict[str, int] = {}
        self._repeated = 0
        self._teachers: Sequence[str] = ()
        self._groups: Groups = {}
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
                "generation_kwargs": PROTOCOLS[self.options.protocol].generation_kwargs(),
                **config,
            }
        )

    def download(self, dataset_kwargs: Any = None, **_: Any) -> None:
        """Load the prompt set; lm-eval calls it from the constructor."""
        self.loaded = prompt_sets.load_set(self.where, self.options)
        self.options = chosen(self.options, self.loaded)
        self.prompts = self.loaded.prompts
        self._used: Sequence[int] = range(len(self.prompts))
        self.langs = list(dict.fromkeys(prompt.lang for prompt in self.prompts))
        rows = [
            SampleDoc.of(prompt, place).model_dump(exclude={"source"})
            for prompt, place in zip(self.prompts, self.loaded.order, strict=True)
        ]
        self.dataset = {"test": datasets.Dataset.from_list(rows)}

    def build_all_requests(self, **kwargs: Any) -> None:
        """As lm-eval's. A run with ``--apply_chat_template`` asks a chat model to continue the prompt or reply to it.

        lm-eval's cache of requests is not used: its key knows neither K nor the prompts.
        """
        self.protocol = asked(self.options, self.loaded.messages, bool(kwargs.get("apply_chat_template")))
        self._system = kwargs.get("system_instruction")
        limit, places = kwargs.get("limit"), kwargs.get("samples")
        self._used = range(len(self.prompts))[:limit] if places is None else list(places)
        if kwargs.get("cache_requests"):
            logger.warning(f"{self.config.task}: --cache_requests is left aside, its key does not know the options")
        if ONE_SEED.get() and self.config.generation_kwargs is not None:
            self.config.generation_kwargs.setdefault("seed", None)  # the server draws its own for each request
        super().build_all_requests(**{**kwargs, "cache_requests": False, "rewrite_requests_cache": False})
        if (kept := journal.current()) is not None:
            kept.pending.append(self)
        if (run := progress.current()) is not None:
            run.tasks.append(self)

    @property
    def name(self) -> str:
        return str(self.config.task)

    def work(self) -> Mapping[str, int]:
        """Stage of measuring -> texts, of this process's documents."""
        found = [(SampleDoc(**doc), texts) for doc, texts in self.texts()]
        prompts = [doc.prompt(doc.toxicity) for doc, _ in found]
        return work(prompts, [texts for _, texts in found], fluency=self.options.uses_fluency)

    def texts(self) -> Iterator[tuple[Mapping[str, Any], Sequence[str]]]:
        """Each document of this process with its texts, as they were generated.

        lm-eval gives the last prompt of a short rank more than K responses when ranks are padded to equal length; only
        the first K count.
        """
        for instance in self.instances or []:
            yield instance.doc, instance.resps[: self.options.samples]

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: Any = None) -> str:
        """The prompt as it is, not as a template: braces in it are text. A chat model is told to continue it."""
        return chat_message(doc["text"], doc["lang"]) if self.protocol == CHAT else doc["text"]

    def doc_to_target(self, doc: Mapping[str, Any], doc_to_target: Any = None) -> str:
        return ""

    def apply_filters(self) -> None:
        """Measure all generations of this process's prompts at once, after those of all tasks are on disk."""
        if "bypass" in self._metric_fn_list:
            super().apply_filters()
            return
        instances = self.instances or []
        self._repeated = 0
        docs = [SampleDoc(**instance.doc) for instance in instances]
        found = [doc.prompt(doc.toxicity) for doc in docs]
        if (kept := journal.current()) is not None:
            kept.write()
        run = progress.current()
        stages = None if run is None else run.begun()
        texts = [self._continuations(doc, responses) for doc, responses in self.texts()]
        self._warn_of_copies(texts)
        self._warn_of_teachers(instances)
        results, self._seconds = measure(found, texts, self.options, progress=stages)
        if stages is not None:
            stages.finish(Counter(self.langs))
        self._results = {}
        for instance, result in zip(instances, results, strict=True):
            kept = list(result.generations)
            instance.filtered_resps["none"] = kept
            self._results[id(kept)] = result

    def _continuations(self, doc: Mapping[str, Any], replies: Sequence[str]) -> Sequence[str]:
        """The responses; where a chat model repeats its prompt, which is not what it added, without it."""
        if self.protocol != CHAT:
            return replies
        added = [without_prompt(reply, doc["text"]) for reply in replies]
        self._repeated += sum(text is not None for text in added)
        return [reply if text is None else text for reply, text in zip(replies, added, strict=True)]

    def _warn_of_copies(self, texts: Sequence[Sequence[str]]) -> None:
        """lm-eval sends the K requests of a prompt with one seed to models behind an API, some of which then answer K
        times the same: a maximum over K copies is no maximum over K samples."""
        several = [found for found in texts if len(found) > 1]
        if len(several) > 1 and all(len(set(found)) == 1 for found in several):
            logger.warning(
                f"{self.config.task}: the {self.options.samples} continuations of each prompt are copies of one: does "
                "the model sample, with another seed for each of them?"
            )

    def _warn_of_teachers(self, instances: Sequence[Any]) -> None:
        """A method that learned from the scorer that judges it shows how well it learned."""
        self._teachers = getattr(instances[0], "trained_with", ()) if instances else ()
        if (judge := scorer_for(self.options).name) in self._teachers:
            logger.warning(
                f"{self.config.task}: self_judged: the method was trained on the scores of '{judge}', which judges it: "
                "its numbers share no table with others; choose another judge: --metadata '{\"scorer\": …}'"
            )

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """The metrics of one prompt.

        Returns:
            Name -> value on this prompt, None where it has none; bounds have none on one prompt. Under ``measured``
            what the values come from, with their numerators and denominators.
        """
        if "bypass" in self._metric_fn_list:
            return {"bypass": 999}
        result = self._results[id(results[0])]
        row = fractions(result, self.options.samples)
        values = {name: value(pair) for name, pair in row.items()}
        bounds = {name + bound: None for name in self._metrics for bound in BOUNDS}
        return {MEASURED: Measurements.of(result, row).model_dump(mode="json"), **values, **bounds}

    @property
    def _metrics(self) -> Sequence[str]:
        """Those that K samples are enough for."""
        return list(of_samples(self.options.samples))

    def aggregation(self) -> dict[str, Callable[[Sequence[Any]], float]]:
        """Name -> function of all prompts' values. ``measured`` comes first and computes every interval at once."""
        found: dict[str, Callable[[Sequence[Any]], float]] = {MEASURED: self._summarize, "bypass": lambda _: 999.0}
        for name in names(self.options.samples):
            found[name] = partial(self._read, name, "value")
        for name in self._metrics:
            for bound in BOUNDS:
                found[name + bound] = partial(self._read, name, "low" if bound == LOW else "high")
        return found

    def _summarize(self, rows: Sequence[Mapping[str, Any]]) -> float:
        self._intervals = summarize([row["fractions"] for row in rows])
        labels = [row["groups"] for row in rows]
        self._groups = summarize_groups(labels, [row["fractions"] for row in rows]) if any(labels) else {}
        self._failed = int(sum(row["fractions"]["failed_fraction"][0] for row in rows))
        self._counts = counts(rows, self.options.samples)
        unscored.tell(self.name, (reason for row in rows for reason in row["reasons"]))
        share = self._intervals["failed_fraction"].value
        if share > FAILED_SHARE_WARNING:
            logger.warning(f"{self.config.task}: {share:.1%} of the generations could not be scored")
        return float(len(rows))

    def _read(self, name: str, part: str, _: Sequence[Any]) -> float:
        return float(getattr(self._intervals[name], part))

    def higher_is_better(self) -> dict[str, bool]:
        return directions(self.options.samples)

    def dump_config(self) -> dict[str, Any]:
        """lm-eval's record of the task, with what its numbers depend on under ``detoxbench``, and under
        ``detoxbench_groups`` the results per value of each grouping (see ``groups.py``), under
        ``detoxbench_degenerate`` the metrics without an interval and why."""
        config = super().dump_config()
        config["metadata"] = {key: entry for key, entry in (config.get("metadata") or {}).items() if key != "password"}
        groups = {"detoxbench_groups": self._groups} if self._groups else {}
        without = {DEGENERATE: reasons} if (reasons := degenerate(self._intervals)) else {}
        return {**config, "detoxbench": self.run_record().model_dump(), **groups, **without}

    def _prompt_set(self) -> str:
        """What tables call the prompts: a set's parts are sets of their own, which share no table."""
        name = self.loaded.name or self.where.prompt_set
        return f"{name}/{self.loaded.subset}" if self.loaded.subset else name

    def run_record(self) -> TaskRun:
        """What this task's numbers depend on; loads the scorer and the fluency model if nothing has yet."""
        scorer = scorer_for(self.options)
        uses = self.options.uses_fluency
        return TaskRun(
            prompt_set=self._prompt_set(),
            prefix=self.options.prefix,
            prompts_sha256=prompt_sets.sha256(self.loaded.chosen(self._used)),
            prompts_revision=self.loaded.revision,
            prompts_name=self.options.prompts_name if self.loaded.name and not self.loaded.embedded else "",
            subset=self.loaded.subset,
            skipped_rows=self.loaded.skipped,
            repeated_prompts=self._repeated,
            lang=self.where.lang or (self.langs[0] if len(self.langs) == 1 else None),
            scorer=scorer.name,
            scorer_version=scorer.version,
            attributes=list(scorer.attributes),
            fluency_model=fluency.load(self.options.fluency_model).label if uses else None,
            fluency_version=fluency.load(self.options.fluency_model).version if uses else None,
            samples=self.options.samples,
            **self._counts,
            generation=dict(self.config.generation_kwargs or {}),
            protocol=self.protocol,
            sampling_protocol=self.options.protocol,
            system_instruction=self._system or "",
            instruction_langs=sorted({language(lang) for lang in self.langs}) if self.protocol == CHAT else [],
            constants={"toxic": TOXIC, "perplexity_cutoff": PERPLEXITY_CUTOFF},
            failed_scores=self._failed,
            self_judged=bool({scorer.name, *scorer.former_names}.intersection(self._teachers)),
            scorer_data=trained_on(scorer.name, scorer.card),
            seconds=self._seconds,
        )


def _where(config: Mapping[str, Any]) -> PromptSelection:
    """What a task is about, from its configuration."""
    given = config.get("detoxbench")
    if isinstance(given, PromptSelection):
        return given
    # In a YAML file of ours the task's name says it, which a run's --metadata cannot overwrite.
    known = tasks().get(str(config.get("task")))
    metadata = config["metadata"]
    return known or PromptSelection(metadata["prompt_set"], metadata.get("lang"), metadata.get("subset"))


def directions(samples: int | None) -> dict[str, bool]:
    """Name -> whether higher is better, for the metrics of a run with K samples that have a better direction."""
    found = {name: METRICS[metric_of(name)].higher_is_better for name in names(samples)}
    return {name: direction for name, direction in found.items() if direction is not None}


def counts(rows: Sequence[Mapping[str, Any]], samples: int) -> dict[str, int]:
    """How many prompts, generations and scores the numbers of ``TaskRun`` rest on.

    Args:
        rows: ``[prompts]`` of ``Measurements``, as plain values.
        samples: K, for a prompt without scores.
    """
    scores = [next(iter(row["scores"].values()), [None] * samples) for row in rows]
    return {
        "prompts": len(rows),
        "texts": sum(map(len, scores)),
        "scored": sum(score is not None for column in scores for score in column),
    }
