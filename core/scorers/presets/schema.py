"""What a preset says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...files import fingerprint
from ..model_files import UNVERIFIED

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Revision = Commit | Literal["unverified"]
"""A commit of the hub; ``unverified`` where none could be read: what is newest is used then, said and recorded."""
UNMEASURED = "unmeasured"
Verified = Literal["ran", "card only"]
"""``ran``: this preset was run with these weights; ``card only``: it is what cards and published code say."""


def pinned(revision: str) -> str | None:
    """The commit to ask for; None for an unverified one."""
    return None if revision == UNVERIFIED else revision


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preset(Strict):
    """What every preset says.

    Args:
        description: one line.
        licence: of the weights.
        languages: BCP-47 primary subtags that it was made for; None for any.
        source: where these facts are read: a card, code, a paper.
        verified: see ``Verified``.
        checked: which of these facts were compared with what, and which could not be.
        validity: language -> label set -> figures against people's labels (``texts``, ``figures.auc.value`` …), as
            the card of a scorer has them; ``unmeasured`` where nobody has measured this preset.
        trained_on: names of the data sets that its model was fine-tuned on, as far as they are known; ``unknown`` where
            nobody says.
        measured_with: model that the figures are of, where the preset is not one model's.
    """

    description: str
    licence: str
    languages: tuple[str, ...] | None
    source: str
    verified: Verified
    checked: Annotated[tuple[str, ...], Field(min_length=1)]
    validity: Mapping[str, Mapping[str, Any]] | Literal["unmeasured"]
    trained_on: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["unknown"]
    measured_with: str | None = None

    @property
    def data(self) -> tuple[str, ...]:
        """``trained_on``, empty where it is not known."""
        return () if isinstance(self.trained_on, str) else self.trained_on

    @property
    def figures(self) -> Mapping[str, Mapping[str, Any]]:
        """``validity``, empty where there is none."""
        return {} if isinstance(self.validity, str) else self.validity


class Classifier(Preset):
    """A sequence classifier of the hub: the options of ``hf:``.

    Args:
        model: on the hub.
        revision: see ``Revision``.
        label: by name or place, or ``max``.
        activation: ``softmax`` or ``sigmoid``.
        window: tokens.
        tokenizer: model on the hub that has it, with ``@commit``, where this one has none.
    """

    model: str
    revision: Revision
    label: str
    activation: Literal["softmax", "sigmoid"]
    window: int
    tokenizer: str | None = None

    @property
    def spec(self) -> str:
        """As a specification of ``hf:``."""
        options = {
            "label": self.label, "revision": pinned(self.revision), "activation": self.activation,
            "window": self.window, "tokenizer": self.tokenizer,
        }  # fmt: skip
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        if self.languages is not None:
            given.append(f"languages={'+'.join(self.languages)}")
        return ",".join([f"hf:{self.model}", *given])


class Message(Strict):
    """A turn of the conversation that the guard is shown; ``{text}``, ``{prompt}`` and ``{policy}`` are filled in."""

    role: str
    content: str


class Label(Strict):
    """What an answer means.

    Args:
        harm: 0 is harmless, 1 is harmful.
        token: the answer as it is written after the prefill; its first token is looked at.
    """

    harm: Annotated[float, Field(ge=0, le=1)]
    token: str


class Step(Strict):
    """One answer.

    Args:
        prefill: what the answer begins with before the label. One of blanks alone is a token of its own, and is left
            out where the prompt ends with it.
        labels: name -> label.
    """

    prefill: str = ""
    labels: Annotated[dict[str, Label], Field(min_length=2)]


class Ask(Strict):
    """How a text is put to the guard.

    Args:
        messages: given to the tokenizer's chat template, which holds most guards' policy.
        template: the prompt itself, for a model without a chat template.
        options: further arguments of the chat template; ``{policy}`` is filled in.
        words: further words that are filled in, in policies too.
        steps: answers in their order. The score is of the last; of those before, the most probable label is written
            down and the next answer is asked for.
    """

    messages: tuple[Message, ...] = ()
    template: str | None = None
    options: Mapping[str, Any] = {}
    words: Mapping[str, str] = {}
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_way(self) -> Ask:
        if bool(self.messages) == (self.template is not None):
            raise ValueError("either messages or a template")
        return self


class Variant(Strict):
    """One size of a guard: a model on the hub, its commit, and its licence where it is another."""

    model: str
    revision: Revision
    licence: str | None = None


class Guard(Preset):
    """A causal LM that answers whether a text is harmful.

    Args:
        variants: name of a scorer -> model; none for a preset that any model can be asked with.
        asks: ``text``, a text alone, and ``response``, a text as the answer to its prompt.
        policies: name -> wording, one question each; the score is the largest. None where the template has its own.
        categories: what it tells apart in its answer, for the record.
        content: ``parts`` where the chat template wants lists of parts.
        any_case: any token that is the label but for blanks and case counts.
        top: only the most probable so many tokens count.
        served_only: why it cannot be asked for one token, and what to do; None where it can.
    """

    variants: Mapping[str, Variant] = {}
    asks: Annotated[Mapping[Literal["text", "response"], Ask], Field(min_length=1)]
    policies: Mapping[str, str] = {}
    categories: tuple[str, ...] = ()
    content: Literal["string", "parts"] = "string"
    any_case: bool = False
    top: int | None = None
    served_only: str | None = None

    @property
    def digest(self) -> str:
        """Changes with whatever a score depends on."""
        asked = self.model_dump(include={"asks", "policies", "content", "any_case", "top"}, mode="json")
        return fingerprint(asked)[:12]
