"""Metrics of texts that are there already: generation files measured as a task's own generations are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.constants import PERPLEXITY_CUTOFF, TOXIC
from ..core.data_overlap import trained_on
from ..core.errors import DetoxbenchError
from ..core.generation_files import GenerationFile, Likelihoods
from ..core.metrics.fractions import fractions, summarize
from ..core.progress import Stages
from ..core.records import Measurements, Prompt, PromptResult, SampleDoc, SampleRow, TaskRun
from ..core.results_writer import TaskOutput
from ..core.scorers import Scorer
from . import prompts as prompt_sets
from .measure import Scored, TextMeasurements, assemble, judge, score, with_toxicity
from .measure import work as stages
from .task import counts, directions

GIVEN = "given"
"""Name of the scorer whose scores a file holds itself, as ``given`` or ``given:<what they are of>``."""

KEPT = "kept"
"""In place of a fluency model: the likelihoods, and languages, that a run's own samples have."""

NOT_GIVEN = "the file has no score of it"


@dataclass(frozen=True)
class Part:
    """What is measured together: the prompts of a file, or of one of its languages.

    Args:
        task: name in results.
        prompt_set: see ``TaskRun``.
        prompts, generations, given, prompt_given: see ``GenerationFile``.
        attributes: of ``given``.
        record: of the run that made the texts, if it is known.
        likelihoods: see ``GenerationFile``.
    """

    task: str
    prompt_set: str
    prompts: Sequence[Prompt]
    generations: Sequence[Sequence[str]]
    given: Sequence[Sequence[Mapping[str, float | None]]]
    attributes: tuple[str, ...]
    record: TaskRun | None = None
    prompt_given: Sequence[float | None] = ()
    likelihoods: Sequence[Likelihoods | None] = ()


def parts(file: GenerationFile, task: str | None = None, record: TaskRun | None = None) -> list[Part]:
    """One part a language, called ``generations_<lang>``; of lm-eval's samples one, called as its task."""
    if task is not None:
        whole = (file.prompts, file.generations, file.given, file.attributes)
        return [Part(task, record.prompt_set if record else task, *whole, record, file.prompt_given, file.likelihoods)]
    found = []
    for lang in file.langs:
        places = [place for place, prompt in enumerate(file.prompts) if prompt.lang == lang]
        found.append(
            Part(
                f"generations_{lang}",
                "generations",
                [file.prompts[place] for place in places],
                [file.generations[place] for place in places],
                [file.given[place] for place in places],
                file.attributes,
                prompt_given=[file.prompt_given[place] for place in places],
            )
        )
    return found


@dataclass(frozen=True)
class GivenScores:
    """In place of a scorer: what the file says. Its version is what the user says it is, as nobody else can."""

    name: str
    version: str
    attributes: tuple[str, ...]

    def of(self, part: Part) -> Scored:
        flat = [one for prompt in part.given for one in prompt]
        columns = {name: [one.get(name) for one in flat] for name in self.attributes}
        reasons = [None if one.get(self.attributes[0]) is not None else NOT_GIVEN for one in flat]
        return Scored(columns, reasons)

    def prompts_of(self, part: Part) -> list[Prompt]:
        """Prompts that bring no score of their own get what the file's scorer said of them."""
        said = part.prompt_given or [None] * len(part.prompts)
        return [
            prompt if prompt.toxicity is not None else prompt.model_copy(update={"toxicity": one})
            for prompt, one in zip(part.prompts, said, strict=True)
        ]


def former_names(scorer: Scorer | GivenScores) -> tuple[str, ...]:
    """Names that earlier records may call the scorer by."""
    return () if isinstance(scorer, GivenScores) else scorer.former_names


def work(
    parts: Iterable[Part], scorers: Sequence[Scorer | GivenScores], fluency_model: str, *, prompts: bool = True
) -> dict[str, int]:
    """What ``Stages`` counts while these parts are judged and scored."""
    asked = sum(isinstance(one, Scorer) for one in scorers)
    found: Counter[str] = Counter()
    for part in parts:
        found += Counter(
            stages(
                part.prompts,
                part.generations,
                scorers=asked,
                fluency=fluency_model not in ("none", KEPT),
                of_prompts=prompts,
            )
        )
    return dict(found)


def judged(
    part: Part, fluency_model: str, *, progress: Stages | None = None
) -> tuple[TextMeasurements, dict[str, float]]:
    """What all scorers share, and the seconds it took.

    Args:
        fluency_model: a model, ``none``, or ``KEPT``.

    Raises:
        DetoxbenchError: where likelihoods are to be kept and there are none.
    """
    seconds: dict[str, float] = {}
    if fluency_model == KEPT:
        return _kept(part), dict(part.record.seconds) if part.record else {}
    return judge(part.prompts, part.generations, fluency_model, seconds, progress=progress), seconds


def _kept(part: Part) -> TextMeasurements:
    found = [one for one in part.likelihoods if one is not None]
    if part.record is None or part.record.fluency_model is None or len(found) < len(part.prompts):
        raise DetoxbenchError(
            f"{part.task}: the file has no likelihoods to keep; they are in the samples of a run that had a fluency "
            "model, beside its results file. Name a model, or none"
        )
    columns = ([value for one in found for value in getattr(one, name)] for name in ("nll", "tokens", "languages"))
    return TextMeasurements(*columns)


def scored(
    part: Part, scorer: Scorer | GivenScores, *, prompts: bool = True, progress: Stages | None = None
) -> tuple[Part, Scored]:
    """Scores of all texts, and the part with scores of its prompts, unless these are not wanted."""
    if isinstance(scorer, GivenScores):
        return replace(part, prompts=scorer.prompts_of(part)), scorer.of(part)
    found = score(scorer, part.prompts, part.generations, progress=progress)
    return (
        replace(part, prompts=with_toxicity(scorer, part.prompts, progress=progress)) if prompts else part,
        found,
    )


def output(
    part: Part,
    scorer: Scorer | GivenScores,
    found: Scored,
    shared: TextMeasurements,
    fluency_model: str,
    seconds: Mapping[str, float],
    teachers: Sequence[str] = (),
) -> TaskOutput:
    """Every metric with its interval, and the rows of a samples file.

    Args:
        teachers: scorers that the method that made the texts learned from.
    """
    results = assemble(part.prompts, part.generations, found, shared)
    samples = max(map(len, part.generations))
    rows = [fractions(result, samples) for result in results]
    measured = [Measurements.of(result, row) for result, row in zip(results, rows, strict=True)]
    label, version = None, None
    if fluency_model == KEPT and part.record is not None:
        label, version = part.record.fluency_model, part.record.fluency_version
    elif fluency_model != "none":
        from ..core import fluency  # it imports torch

        judge_of_fluency = fluency.load(fluency_model)
        label, version = judge_of_fluency.label, judge_of_fluency.version
    about: dict[str, Any] = {
        "scorer": scorer.name,
        "scorer_version": scorer.version,
        "attributes": list(scorer.attributes),
        "fluency_model": label,
        "fluency_version": version,
        "constants": {"toxic": TOXIC, "perplexity_cutoff": PERPLEXITY_CUTOFF},
        **counts([one.model_dump() for one in measured], samples),
        "failed_scores": int(sum(row["failed_fraction"][0] for row in rows)),
        "self_judged": bool({scorer.name, *former_names(scorer)}.intersection(teachers)),
        "scorer_data": trained_on(scorer.name, getattr(scorer, "card", None)),
        "seconds": dict(seconds),
    }
    langs = {prompt.lang for prompt in part.prompts}
    record = part.record or TaskRun(
        prompt_set=part.prompt_set,
        prompts_sha256=prompt_sets.sha256(part.prompts),
        lang=langs.pop() if len(langs) == 1 else None,
        samples=samples,
        generation={},
        **about,
    )
    return TaskOutput(
        part.task,
        record.model_copy(update=about),
        summarize(rows),
        [_row(place, result, one) for place, (result, one) in enumerate(zip(results, measured, strict=True))],
        directions(samples),
    )


def _row(place: int, result: PromptResult, measured: Measurements) -> SampleRow:
    """As ``ToxicityTask`` has lm-eval write it."""
    doc = SampleDoc.of(result.prompt, place)
    return SampleRow(doc_id=place, doc=doc, filtered_resps=[list(result.generations)], measured=measured)


def collated(part: Part, found: Scored) -> list[dict[str, Any]]:
    """The published systems' rows: each generation with its scores, or with the reason why it has none."""
    rows, start = [], 0
    for prompt, texts in zip(part.prompts, part.generations, strict=True):
        generations = []
        for place, text in enumerate(texts, start):
            scores = {name: column[place] for name, column in found.scores.items() if column[place] is not None}
            reason = found.reasons[place]
            generations.append({"text": text, **scores, **({} if reason is None else {"reason": reason})})
        start += len(texts)
        about = {"text": prompt.text, **({} if prompt.toxicity is None else {"toxicity": prompt.toxicity})}
        rows.append({"id": prompt.id, "lang": prompt.lang, "prompt": about, "generations": generations})
    return rows
