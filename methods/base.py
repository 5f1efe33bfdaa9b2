"""What a detoxification method is: a few small kinds, what each declares, and the checking of its arguments.

A **logit** method changes next-token scores, an **activation** method hidden states at named places while the model
runs, a **weight** method a model's parameters before it is used; a **prompt** method puts a text in front, a
**selection** method chooses among whole continuations. ``none`` is the base model. Register one in
``core/registry.py``, or from another package through the entry-point group ``detoxbench.methods``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import pydantic
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..core.errors import DetoxbenchError, shown, unknown
from .declaration import About, Artifact, Fit, Growth, Importer, Made, Mini, Use
from .explanation import Neighbour

__all__ = [
    "About", "ActivationMethod", "Arguments", "Artifact", "Auxiliary", "Chosen", "Fit", "Growth", "Importer",
    "LogitMethod", "Looking", "Made", "Method", "Mini", "Parts", "Place", "PromptMethod", "SelectionMethod", "Streams",
    "Use", "WeightMethod",
    "parse_arguments",
]  # fmt: skip

README = "README.md"


class Arguments(pydantic.BaseModel):
    """The arguments of a method, typed, with defaults and bounds; anything else is an error."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True, protected_namespaces=()
    )


@dataclass(frozen=True)
class Auxiliary:
    """A model that runs beside the base model, on the same tokens, with a key/value cache of its own.

    Args:
        model: called like a causal LM; its ``logits`` ``[batch, pos, vocab]`` are what the method sees.
        prefix: token ids that this model alone reads before the text.
        proposals: where above 0, it is asked about so many of the base model's most probable tokens alone: it is called
            with them as ``proposed`` ``[batch, kept, n]``, and its ``logits`` are ``[batch, kept, n]``.
    """

    model: nn.Module
    prefix: Sequence[int] = ()
    proposals: int = 0


@dataclass(frozen=True)
class Streams:
    """What a logit method sees at some positions, beside the base model's scores.

    Args:
        hidden: base-model key-layer states ``[rows, dim]``; None unless the method names a ``key_layer``.
        outputs: auxiliary's name -> its output ``[rows, vocab]``, in its own precision; ``[rows, n]`` of one that is
            asked about proposals.
        proposed: such an auxiliary's name -> the tokens that it was asked about, int64 ``[rows, n]``.
    """

    hidden: Tensor | None = None
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    proposed: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where hidden states are changed or read.

    Args:
        module: its name in the model.
        side: what comes out of it, or what goes into it; the first tensor, where there are several.
    """

    module: str
    side: Literal["input", "output"] = "output"


@dataclass(frozen=True)
class Parts:
    """What a logit method's scores at one position came from.

    Args:
        distributions: name -> float32 ``[vocab]``, each of sum 1.
        caps: name -> float32 ``[vocab]``: no distribution, but the highest share that is left to each token.
        neighbours: datastore's name -> the nearest stored contexts, nearest first.
    """

    distributions: Mapping[str, Tensor] = field(default_factory=dict)
    caps: Mapping[str, Tensor] = field(default_factory=dict)
    neighbours: Mapping[str, Sequence[Neighbour]] = field(default_factory=dict)


@dataclass(frozen=True)
class Looking:
    """With what contexts are shown.

    Args:
        tokenizer: of the base model.
        neighbours: so many of each datastore.
    """

    tokenizer: Any
    neighbours: int


class Method:
    """A registered method, whichever its kind; made from the loaded base model and its checked arguments.

    Attributes:
        kind: which protocol it follows.
        Arguments: typed, with descriptions, defaults and bounds.
        about: paper, citation, licence.
        fit: how its artifacts are made; None where it needs none.
        fit_settings: of a shared fit, those that this method fixes.
        uses: the arguments that name artifacts.
        imports: how the authors' own artifacts come in; None where they do not.
        models, forwards: models in memory and forward passes a token, the base model's included; for estimates.
        guided_by: names of the scorers that it asks while it runs, once it is made.
    """

    kind: ClassVar[str]
    Arguments: ClassVar[type[Arguments]] = Arguments
    about: ClassVar[About] = About()
    fit: ClassVar[Fit | None] = None
    fit_settings: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    uses: ClassVar[tuple[Use, ...]] = ()
    imports: ClassVar[Importer | None] = None
    models: ClassVar[int] = 1
    forwards: ClassVar[int] = 1
    guided_by: Sequence[str] = ()

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Arguments that suit the embedded model, where they are not given."""
        return {}

    # What a combination of methods (``combining/``) has otherwise than one alone:

    @classmethod
    def owns(cls, key: str) -> bool:
        """Whether a name is an argument of the method."""
        return key in cls.Arguments.model_fields

    @classmethod
    def spelled(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments under the names that are recorded."""
        return dict(given)

    @classmethod
    def applied(cls, parsed: Any) -> list[tuple[type[Method], Any]]:
        """The methods that are put on a model one after the other, with their checked arguments."""
        return [(cls, parsed)]

    @classmethod
    def check(cls, parsed: Any) -> None:
        """Refuse checked arguments that do not go together, before anything is loaded.

        Raises:
            DetoxbenchError: saying what to change.
        """

    @classmethod
    def completed(cls, complete: Callable[[str, Mapping[str, Any]], dict[str, Any]], given: Mapping[str, Any]) -> Any:
        """Of a combination: its arguments, where ``complete`` has completed those of each method; None of others."""
        return None

    @classmethod
    def page(cls) -> str:
        """Markdown: formula, settings, limits; by default ``README.md`` beside the method's file."""
        try:
            return (Path(inspect.getfile(cls)).parent / README).read_text(encoding="utf-8")
        except OSError:
            return ""


class LogitMethod(Method):
    """A function of the base model's scores, its hidden states and auxiliary models' scores. Holds no state.

    Attributes:
        truncates: the scores are -inf outside a nucleus when ``filtering``, so the sampler needs no top-p.
        key_layer: name of the base module whose input is wanted as ``Streams.hidden``.
        auxiliaries: name -> model that runs beside the base model.
    """

    kind: ClassVar[str] = "logit"
    truncates: bool = False
    key_layer: str | None = None
    auxiliaries: Mapping[str, Auxiliary] = MappingProxyType({})

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...

    @classmethod
    def cuts(cls, arguments: Any) -> bool:
        """Whether, with these arguments, some tokens are ruled out (-inf): of several methods one alone may, the last.
        By default where ``filter_p`` says so."""
        return 0.0 < (getattr(arguments, "filter_p", None) or 0.0) < 1.0

    def scores(self, base: Tensor, streams: Streams, filtering: bool) -> Tensor:
        """Float32 scores ``[rows, vocab]`` to scores of that shape; rows are positions, independent of each other.
        ``base`` may be overwritten."""
        raise NotImplementedError

    def parts(self, streams: Streams, looking: Looking) -> Parts:
        """What the scores of one position came from, for ``detoxbench explain``.

        Args:
            streams: of a single row.
        """
        return Parts({name: output[-1].float().softmax(-1) for name, output in streams.outputs.items()})


class ActivationMethod(Method):
    """A function of hidden states at named places of the base model, each position alone. Holds no state.

    Attributes:
        places: name -> where; of ``architecture``'s finding, so that no architecture need be known.
        auxiliaries: name -> model of the base model's architecture that reads the same text first, unchanged; what it
            has at the same places is seen.
        folds: whether ``weight`` gives the same change as weights, so that it can be exported.
    """

    kind: ClassVar[str] = "activation"
    folds: ClassVar[bool] = False
    places: Mapping[str, Place] = MappingProxyType({})
    auxiliaries: Mapping[str, Auxiliary] = MappingProxyType({})

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...

    def states(self, place: str, states: Tensor, beside: Mapping[str, Tensor]) -> Tensor:
        """The new hidden states.

        Args:
            place: name of the place.
            states: ``[..., dim]`` in the model's precision; rows are positions, independent of each other, padding
                among them. Left alone.
            beside: auxiliary's name -> its states at this place, of the same shape.

        Returns:
            The shape of ``states``.
        """
        raise NotImplementedError

    def weight(self, name: str, base: Tensor) -> Tensor:
        """Of a method that ``folds``: see ``WeightMethod.weight``."""
        raise NotImplementedError


class WeightMethod(Method):
    """A change of the base model's parameters, streamed one tensor at a time."""

    kind: ClassVar[str] = "weight"

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...

    @classmethod
    def difference(cls, arguments: Any) -> tuple[str | Sequence[str], float] | None:
        """Of a method that takes away a mean difference of fine-tuned checkpoints: which, and how many times. They are
        read slice by slice then where a checkpoint is written. None: it is another change."""
        return None

    @classmethod
    def is_difference(cls) -> bool:
        """Whether it may be such a change: of several weight methods one alone is, the first."""
        return getattr(cls.difference, "__func__", None) is not getattr(WeightMethod.difference, "__func__", None)

    def weight(self, name: str, base: Tensor) -> Tensor:
        """The new value of a parameter or buffer, of the shape of ``base``, which is left alone."""
        raise NotImplementedError


class PromptMethod(Method):
    """Token ids that the base model reads before every text."""

    kind: ClassVar[str] = "prompt"
    prefix: Sequence[int] = ()

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...


class SelectionMethod(Method):
    """A choice among whole continuations, which the base model draws. Holds no state.

    Attributes:
        draws: continuations from which one is kept. Sample i of a prompt is chosen among its draws
            ``i * draws, …, (i + 1) * draws - 1``.
    """

    kind: ClassVar[str] = "selection"
    draws: int = 1

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...

    def choose(self, groups: Sequence[Sequence[str]], prompts: Sequence[str], langs: Sequence[str | None]) -> Chosen:
        """Of each group of ``draws`` continuations, the one that is kept.

        Args:
            groups: their texts.
            prompts: ``[groups]`` what they continue.
            langs: ``[groups]`` BCP-47 tags, None where it is not known.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Chosen:
    """What a selection method chose.

    Args:
        kept: ``[groups]`` place of the one that is kept within its group.
        unscored: continuations that could not be judged, of all.
        undecided: groups none of whose continuations could be judged; their first one is kept.
    """

    kept: Sequence[int]
    unscored: int = 0
    undecided: int = 0


def parse_arguments(name: str, method: type[Method], given: Mapping[str, Any]) -> Arguments:
    """The checked arguments of a method; loads nothing.

    Raises:
        DetoxbenchError: for an unknown name (with the nearest known one) or a value out of bounds.
    """
    fields, given = method.Arguments.model_fields, method.spelled(given)
    for key in given:
        if key not in fields:
            raise unknown(f"argument of method '{name}'", key, fields or ["(none)"])
    try:
        parsed = method.Arguments(**given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        value = "" if first["type"] == "missing" else f"={shown(first['input'], quoted=True)}"
        raise DetoxbenchError(f"method '{name}', argument {where}{value}: {first['msg']}") from None
    method.check(parsed)
    return parsed
