"""The core records: frozen, strict, with a schema version. Scores are positional, one place a generation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pydantic

from .constants import SCHEMA_VERSION
from .metric_names import MEASURED


def _to_none(value: Any) -> Any:
    """NaN is written as null, which every JSON reader understands, and read back as None."""
    return None if isinstance(value, float) and math.isnan(value) else value


Measured = Annotated[float | None, pydantic.BeforeValidator(_to_none)]
"""A number, or None where it could not be measured."""


class Record(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)


class Prompt(Record):
    """One prompt of a set.

    Args:
        id: its name within the set.
        text: what the model continues.
        lang: BCP-47 language tag.
        toxicity: the prompt's own score, by whom the set's card says; None where it has none.
        group: what results can be split by (a domain, a harm category).
        groups: all that results can be split by, as ``grouping=value``; several values of one grouping are possible.
        source: anything else that the set says of it.
    """

    id: str
    text: str
    lang: str
    toxicity: Measured = None
    group: str | None = None
    groups: Sequence[str] = []
    source: Mapping[str, Any] = {}


class PromptResult(Record):
    """The K generations of one prompt and everything measured of them; enough to recompute every metric.

    Args:
        prompt: the prompt.
        generations: the K texts.
        scores: attribute -> K scores, None where one failed.
        reasons: why a generation has no score, K.
        nll: K negative log-likelihoods of the generation given the prompt under the fluency model, in nats.
        tokens: K numbers of tokens that ``nll`` is over; 0 where the generation adds none.
        languages: K languages identified; None for an empty generation.
    """

    prompt: Prompt
    generations: Sequence[str]
    scores: Mapping[str, Sequence[Measured]] = {}
    reasons: Sequence[str | None] = []
    nll: Sequence[Measured] = []
    tokens: Sequence[int] = []
    languages: Sequence[str | None] = []

    @pydantic.model_validator(mode="after")
    def _one_place_a_generation(self) -> PromptResult:
        k = len(self.generations)
        columns: dict[str, Sequence[Any]] = {f"scores.{name}": column for name, column in self.scores.items()}
        columns |= {name: getattr(self, name) for name in ("reasons", "nll", "tokens", "languages")}
        for name, column in columns.items():
            if len(column) not in (0, k):
                raise ValueError(f"{name} has {len(column)} places for {k} generations")
        if len(self.nll) != len(self.tokens):
            raise ValueError(f"nll has {len(self.nll)} places, and tokens, which it is over, {len(self.tokens)}")
        return self

    @property
    def toxicity(self) -> Sequence[float | None]:
        """The K scores of the scorer's first attribute; empty if nothing was scored."""
        return next(iter(self.scores.values()), ())


_Finite = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)]
Pair = tuple[_Finite, Annotated[_Finite, pydantic.Field(ge=0)]]
"""Numerator and denominator of one prompt; both 0 where it was not measured."""


class Measurements(Record):
    """What lm-eval's samples file has of a prompt under ``measured``: everything but the texts themselves.

    Args:
        schema_version: of this record.
        scores, reasons, nll, tokens, languages: see ``PromptResult``.
        prompt_toxicity: the prompt's own score, the scorer's where the set has none.
        fractions: metric, or metric on a subset of prompts -> numerator and denominator.
        groups: of the prompt, see ``Prompt``.
    """

    schema_version: int = SCHEMA_VERSION
    scores: Mapping[str, Sequence[Measured]] = {}
    reasons: Sequence[str | None] = []
    nll: Sequence[Measured] = []
    tokens: Sequence[int] = []
    languages: Sequence[str | None] = []
    prompt_toxicity: Measured = None
    fractions: Mapping[str, Pair]
    groups: Sequence[str] = []

    @pydantic.field_validator("fractions")
    @classmethod
    def _measured_or_nothing(cls, fractions: Mapping[str, Pair]) -> Mapping[str, Pair]:
        for name, (numerator, denominator) in fractions.items():
            if denominator == 0 and numerator != 0:
                raise ValueError(f"{name}: {numerator} over 0 is no measurement")
        return fractions

    @classmethod
    def of(cls, result: PromptResult, fractions: Mapping[str, Sequence[float]]) -> Measurements:
        """From a prompt's measurements and its part in every metric."""
        return cls(
            scores=result.scores,
            reasons=result.reasons,
            nll=result.nll,
            tokens=result.tokens,
            languages=result.languages,
            prompt_toxicity=result.prompt.toxicity,
            fractions={name: (pair[0], pair[1]) for name, pair in fractions.items()},
            groups=list(result.prompt.groups),
        )


class SampleDoc(Prompt):
    """A prompt as a task's document.

    Args:
        place: the prompt's number in its set's own order; documents come in another one (``tasks/prompts``), and
            ``--limit`` takes the first of these. None in files of versions that kept the set's order.
    """

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    place: Annotated[int, pydantic.Field(ge=0)] | None = None

    @classmethod
    def of(cls, prompt: Prompt, place: int) -> SampleDoc:
        return cls(**prompt.model_dump(exclude={"source"}), place=place)

    def prompt(self, toxicity: float | None) -> Prompt:
        """The prompt, with that score of its own."""
        return Prompt(**{name: getattr(self, name) for name in Prompt.model_fields if name != "toxicity"},
                      toxicity=toxicity)  # fmt: skip


class SampleRow(pydantic.BaseModel):
    """One row of lm-eval's samples file, as our tasks have it written; lm-eval's other fields are left aside.

    Args:
        doc_id: number of the document within the task.
        doc: the prompt.
        filtered_resps: the K texts, in a list of one; an empty one in files that were stripped of their texts.
        measured: everything measured of them.
    """

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    doc_id: Annotated[int, pydantic.Field(ge=0, strict=True)]
    doc: SampleDoc
    filtered_resps: Annotated[Sequence[Sequence[str]], pydantic.Field(min_length=1)] = [[]]
    measured: Measurements

    @property
    def generations(self) -> Sequence[str]:
        """The K texts."""
        return self.filtered_resps[0]

    @property
    def place(self) -> int:
        """The prompt's number in its set, by which rows of different runs are told to be of one prompt."""
        return self.doc_id if self.doc.place is None else self.doc.place

    def result(self) -> PromptResult:
        """The measurements, from which every metric can be computed again."""
        measured = self.measured
        return PromptResult(
            prompt=self.doc.prompt(measured.prompt_toxicity),
            generations=list(self.generations),
            scores=measured.scores,
            reasons=measured.reasons,
            nll=measured.nll,
            tokens=measured.tokens,
            languages=measured.languages,
        )

    def values(self) -> dict[str, float | None]:
        """Each metric on this prompt alone; None where it was not measured."""
        return {name: pair[0] / pair[1] if pair[1] else None for name, pair in self.measured.fractions.items()}

    def as_sample(self) -> dict[str, Any]:
        """The row as lm-eval writes it of one of our tasks."""
        texts, values = list(self.generations), self.values()
        return {
            "doc_id": self.doc_id,
            "doc": self.doc.model_dump(mode="json", exclude={"source"}),
            "target": "",
            "arguments": {"gen_args_0": {"arg_0": self.doc.text, "arg_1": {}}},
            "resps": [texts],
            "filtered_resps": [texts],
            "filter": "none",
            "metrics": [MEASURED, *values],
            MEASURED: self.measured.model_dump(mode="json"),
            **values,
        }


class TaskRun(Record):
    """What a task's numbers depend on; two runs are comparable if these agree, but for the model and method.

    Args:
        prompt_set: name of the prompt set; ``mini`` for embedded prompts, the file's name for a file, ``rtp/toxic_10k``
            for a part of a set.
        prompts_sha256: of the prompts used, texts in order.
        prompts_revision: commit of the prompt set; None for local files.
        prompts_name: what people call the prompts of a file, where the run says it; no part of what they are, which
            ``prompts_sha256`` tells.
        subset: part of the prompt set, which its name ends in; None for a set without parts.
        prefix: text put before every prompt.
        skipped_rows: rows of the prompt set left out because they could not be read.
        repeated_prompts: replies of a chat model that began with the prompt, which was cut off before scoring.
        lang: BCP-47 tag of the task's prompts; None if mixed.
        scorer, scorer_version, attributes: see ``Scorer``.
        fluency_model: name on the hub, or of a folder with its sha256; None if perplexity was not measured.
        samples: K.
        prompts: number of prompts that the numbers rest on; None in results of earlier versions, as the next two.
        texts: number of their generations.
        scored: how many of these have a toxicity score.
        generation: settings passed to the model.
        protocol: ``base``; ``chat``, where a chat model was told to continue the prompt; ``reply``, where it was given
            it as a message.
        system_instruction: what lm-eval's ``--system_instruction`` put before every prompt; empty for none.
        sampling_protocol: name of the sampling settings asked for; ``generation`` has what came of it.
        instruction_langs: languages of the instructions that chat prompts were given in; empty for ``base``.
        constants: thresholds and cut-offs in force.
        self_judged: whether the method that made the texts learned from this very scorer: its numbers then say how
            well it learned, not how toxic the texts are.
        scorer_data: names of the data sets that the scorer learned from, as far as is known.
        seconds: wall time of generation, scoring and fluency where known.
    """

    schema_version: int = SCHEMA_VERSION
    prompt_set: str
    prompts_sha256: str
    prompts_revision: str | None = None
    prompts_name: str = ""
    subset: str | None = None
    prefix: str = ""
    skipped_rows: int = 0
    repeated_prompts: int = 0
    lang: str | None = None
    scorer: str
    scorer_version: str
    attributes: Sequence[str]
    fluency_model: str | None
    fluency_version: str | None = None
    samples: int
    prompts: int | None = None
    texts: int | None = None
    scored: int | None = None
    generation: Mapping[str, Any]
    protocol: str = "base"
    system_instruction: str = ""
    sampling_protocol: str = "rtp"
    instruction_langs: Sequence[str] = []
    constants: Mapping[str, float]
    failed_scores: int = 0
    self_judged: bool = False
    scorer_data: Sequence[str] = []
    seconds: Mapping[str, float] = {}


class ModelRun(Record):
    """How the text was made: model, method, and what it ran on.

    Args:
        method_arguments: as given.
        effective_arguments: all of the method's, those left to their defaults included.
        trained_with: scorers that the method's artifacts learned from, or that it asks while it runs.
        trained_on: names of the data sets that the method's artifacts were fitted on, as their manifests say.
        selection: of a method that chooses among whole continuations: how many were drawn and kept, the next-token
            distributions that drawing them took (``forward_passes``), how many could not be judged (``unscored``), and
            for how many samples none could (``undecided``).
        backend: what computed the scores that tokens were drawn from, ``transformers`` or ``vllm``; the draws are the
            same, up to the scores' last bits.
        sampling: the object that the sampler got (``core/sampling/settings.py``), of the first task's requests.
        other_sampling: those of later requests that were drawn otherwise.
        seed: of the sampling noise.
        cost: metric of ``core/metrics/run_level.COST`` -> value, lower and upper bound; empty unless a run asks for it.
        cut_prompts: prompts cut on the left, for the model has no room for them and the continuation.
        cut_while_thinking: continuations that had not ended their thoughts when the length was spent; they are empty.
    """

    schema_version: int = SCHEMA_VERSION
    pretrained: str
    method: str
    method_arguments: Mapping[str, Any]
    effective_arguments: Mapping[str, Any] = {}
    trained_with: Sequence[str] = []
    trained_on: Sequence[str] = []
    selection: Mapping[str, int] = {}
    cost: Mapping[str, tuple[Measured, Measured, Measured]] = {}
    backend: str = "transformers"
    sampling: Mapping[str, Any] = {}
    other_sampling: Sequence[Mapping[str, Any]] = []
    seed: int | None = None
    cut_prompts: int = 0
    cut_while_thinking: int = 0
    versions: Mapping[str, str] = {}
    hardware: str = ""
    seconds: float | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
