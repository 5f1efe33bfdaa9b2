"""The core records: frozen, strict, with a schema version. Scores are positional, one place a generation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pydantic

from .constants import SCHEMA_VERSION


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
        return self

    @property
    def toxicity(self) -> Sequence[float | None]:
        """The K scores of the scorer's first attribute; empty if nothing was scored."""
        return next(iter(self.scores.values()), ())


class TaskRun(Record):
    """What a task's numbers depend on; two runs are comparable if these agree, but for the model and method.

    Args:
        prompt_set: name of the prompt set; ``mini`` for embedded prompts, the file's name for a file, ``rtp/toxic_10k``
            for a part of a set.
        prompts_sha256: of the prompts used, texts in order.
        prompts_revision: commit of the prompt set; None for local files.
        subset: part of the prompt set, which its name ends in; None for a set without parts.
        prefix: text put before every prompt.
        skipped_rows: rows of the prompt set left out because they could not be read.
        repeated_prompts: replies of a chat model that began with the prompt, which was cut off before scoring.
        lang: BCP-47 tag of the task's prompts; None if mixed.
        scorer, scorer_version, attributes: see ``Scorer``.
        fluency_model: name or folder; None if perplexity was not measured.
        samples: K.
        generation: settings passed to the model.
        protocol: ``base`` or ``chat``.
        sampling_protocol: name of the sampling settings asked for; ``generation`` has what came of it.
        instruction_langs: languages of the instructions that chat prompts were given in; empty for ``base``.
        constants: thresholds and cut-offs in force.
        self_judged: whether the method that made the texts learned from this very scorer: its numbers then say how
            well it learned, not how toxic the texts are.
        seconds: wall time of generation, scoring and fluency where known.
    """

    schema_version: int = SCHEMA_VERSION
    prompt_set: str
    prompts_sha256: str
    prompts_revision: str | None = None
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
    generation: Mapping[str, Any]
    protocol: str = "base"
    sampling_protocol: str = "rtp"
    instruction_langs: Sequence[str] = []
    constants: Mapping[str, float]
    failed_scores: int = 0
    self_judged: bool = False
    seconds: Mapping[str, float] = {}


class ModelRun(Record):
    """How the text was made: model, method, and what it ran on.

    Args:
        method_arguments: as given.
        effective_arguments: all of the method's, those left to their defaults included.
        trained_with: scorers that the method's artifacts learned from, or that it asks while it runs.
        selection: of a method that chooses among whole continuations: how many were drawn and kept, the next-token
            distributions that drawing them took (``forward_passes``), how many could not be judged (``unscored``), and
            for how many samples none could (``undecided``).
        sampling: the object that the sampler got (``core/sampling/settings.py``), of the first task's requests.
        other_sampling: those of later requests that were drawn otherwise.
        seed: of the sampling noise.
        cut_prompts: prompts cut on the left, for the model has no room for them and the continuation.
        cut_while_thinking: continuations that had not ended their thoughts when the length was spent; they are empty.
    """

    schema_version: int = SCHEMA_VERSION
    pretrained: str
    method: str
    method_arguments: Mapping[str, Any]
    effective_arguments: Mapping[str, Any] = {}
    trained_with: Sequence[str] = []
    selection: Mapping[str, int] = {}
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
