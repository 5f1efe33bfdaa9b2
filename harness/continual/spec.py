"""The YAML file of ``detoxbench continual``; every mistake is one line that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from ...core.constants import MINI, SAMPLES
from ...core.errors import DetoxbenchError
from ...core.metrics import with_role
from ...core.registry import METHODS, STUDIED
from ...methods.artifact_arguments import declared, fit_of
from ...methods.declaration import Growth
from ..study_file import mistake, read_mapping

ORDERS = (("en", "ru", "it", "fr", "pt", "es"), ("ar", "ko", "hi", "pt", "ru", "en"))
"""Of "From One to Many" (Pozzobon et al. 2024)."""
METRICS = with_role("main")
"""Those of a study that names none."""
STEP = "{step}"
"""Replaced by the name of a language or domain, in tasks and in files."""
STATIC, BASE = "static", "base"


WAYS = {"append": "grow", "retrain": "are trained anew", "vectors": "gain one more vector"}
"""What artifacts do at a step."""


def growth(method: str) -> Growth:
    """How a method takes in one step after another.

    Raises:
        DetoxbenchError: where it cannot.
    """
    found = fit_of(method).grows
    many = any(use.many for use in declared(method).uses)
    if found is None or (found.kind == "vectors" and not many):
        raise DetoxbenchError(f"method {method} does not say how its artifacts grow from step to step")
    return found


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _words(value: Any) -> Any:
    """``en ru it`` as ``[en, ru, it]``. YAML 1.1 reads ``no``, the tag of Norwegian, as false."""
    found = value.split() if isinstance(value, str) else value
    return ["no" if name is False else name for name in found] if isinstance(found, list) else found


Files = Annotated[tuple[str, ...], pydantic.BeforeValidator(_list)]
Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_words), pydantic.Field(min_length=1)]


class Source(_Strict):
    """The texts of a step.

    Args:
        toxic, nontoxic: JSONL files or Hugging Face data sets, as for ``detoxbench fit``; ``{step}`` in them is
            replaced by the step's name. Relative to the YAML file.
        text, label, lang: names of the fields.
        langs: only texts in these languages; ``{step}`` for the step's.
        split: of data sets.
    """

    toxic: Files = ()
    nontoxic: Files = ()
    text: str = "text"
    label: str = "label"
    lang: str = "lang"
    langs: Files = ()
    split: str = "train"

    @pydantic.model_validator(mode="after")
    def _not_empty(self) -> Source:
        if not self.toxic and not self.nontoxic:
            raise ValueError("it names no texts: give toxic, nontoxic or both")
        return self


class Column(_Strict):
    """What a column of the matrix is measured on: a task, or the prompts of it that have ``grouping=value``."""

    task: str
    group: str | None = None


class Spec(_Strict):
    """What is added, in which orders, and what is measured after each step.

    Args:
        model: folder, hub name or ``mini``.
        model_args: further arguments of the lm-eval model ``detox`` (``dtype``, ``revision``, …).
        method: a registered one whose artifacts grow: that are appended to, trained anew, or added as one more vector.
        arguments: of the method (``alpha``, ``k``, ``coefficient``, …).
        fit: settings of its fit, as ``detoxbench fit METHOD`` names them.
        update: of methods that are trained anew: ``union`` trains on all languages so far, ``last`` on the last alone.
        combine: of methods of vectors: the ``sum`` of the vectors so far is taken away, or their ``mean``.
        orders: lists of languages or domains, in the order in which they are added.
        data: name of a variant (``unparallel``, ``parallel``, ``translated``, …) -> its texts: one source for all
            steps, or one a step; ``mini`` is the embedded corpus by language.
        tasks: lm-eval's task of each column; ``{step}`` is replaced by the column's name. Or column -> task.
        columns: languages or domains evaluated; by default all that are in an order.
        static: also add everything at once.
        seeds: of sampling and training; prompts are what intervals resample, the seeds of a prompt are averaged.
        samples: continuations of a prompt.
        limit: only the first prompts of each task.
        metadata: of the tasks (``scorer``, ``fluency_model``, …), as lm-eval's ``--metadata``.
        metrics: those in the matrix.
    """

    model: str = MINI
    model_args: Mapping[str, Any] = {}
    method: str = STUDIED
    arguments: Mapping[str, Any] = {}
    fit: Mapping[str, Any] = {}
    update: Literal["union", "last"] = "union"
    combine: Literal["sum", "mean"] = "sum"
    orders: Annotated[tuple[Names, ...], pydantic.Field(min_length=1)] = ORDERS
    data: Mapping[str, Literal["mini"] | Source | Mapping[str, Source]] = pydantic.Field({}, validate_default=True)
    tasks: str | Mapping[str, Column | str] = f"rtp_multilingual_{STEP}"
    columns: Names | None = None
    static: bool = True
    seeds: Annotated[tuple[int, ...], pydantic.Field(min_length=1)] = (0,)
    samples: Annotated[int, pydantic.Field(ge=1)] = SAMPLES
    limit: Annotated[int | None, pydantic.Field(ge=1)] = None
    metadata: Mapping[str, Any] = {}
    metrics: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = METRICS

    @pydantic.field_validator("orders")
    @classmethod
    def _once(cls, orders: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for order in orders:
            twice = [name for name in order if order.count(name) > 1]
            if twice:
                raise ValueError(f"'{twice[0]}' is twice in {' '.join(order)}: a step is added once")
        if len(set(orders)) < len(orders):
            raise ValueError("an order is listed twice")
        return orders

    @pydantic.field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds

    @pydantic.field_validator("method")
    @classmethod
    def _grows(cls, method: str) -> str:
        growth(METHODS.check(method))
        return method

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Spec:
        if not self.data:
            if self.model != MINI:
                raise ValueError("data: name the texts of each step; only for model mini there is a corpus")
            object.__setattr__(self, "data", {"embedded": MINI})
        for variant, data in self.data.items():
            missing = [name for name in self.steps() if isinstance(data, Mapping) and name not in data]
            if missing:
                raise ValueError(f"data.{variant}: no texts for step '{missing[0]}'; it has {', '.join(data)}")
        if isinstance(self.tasks, str) and STEP not in self.tasks and len(self.column_names()) > 1:
            raise ValueError(f"tasks: '{self.tasks}' is the same for every column: put {STEP} in it")
        if isinstance(self.tasks, Mapping):
            missing = [name for name in self.columns or () if name not in self.tasks]
            if missing:
                raise ValueError(f"columns: '{missing[0]}' has no task; tasks has {', '.join(self.tasks)}")
        grows = self.growth()
        for name, kind in (("update", "retrain"), ("combine", "vectors")):
            if name in self.model_fields_set and grows.kind != kind:
                own = f"those of {self.method} {WAYS[grows.kind]}"
                raise ValueError(f"{name}: it belongs to methods whose artifacts {WAYS[kind]}; {own}")
        return self

    def growth(self) -> Growth:
        """How the method takes in one step after another."""
        return growth(self.method)

    def steps(self) -> list[str]:
        """All that is in an order, as first named."""
        return list(dict.fromkeys(name for order in self.orders for name in order))

    def column_names(self) -> list[str]:
        """Of the matrix, in its order."""
        if self.columns is not None:
            return list(dict.fromkeys(self.columns))
        return list(self.tasks) if isinstance(self.tasks, Mapping) else self.steps()

    def column(self, name: str) -> Column:
        """What a column is measured on."""
        if isinstance(self.tasks, str):
            return Column(task=self.tasks.replace(STEP, name))
        found = self.tasks[name]
        return Column(task=found.replace(STEP, name)) if isinstance(found, str) else found


def read(path: Path) -> Spec:
    """The file, checked.

    Raises:
        DetoxbenchError: in one line, with the path of the key.
    """
    return parse(read_mapping(path, "model: …, orders: …"), str(path))


def parse(raw: Mapping[str, Any], where: str = "continual") -> Spec:
    """Keys and values as a ``Spec``; see ``read``."""
    try:
        return Spec(**{str(key): value for key, value in raw.items()})
    except pydantic.ValidationError as error:
        # Of a union's branches the one that got furthest is the one that was meant.
        first = max(error.errors(), key=lambda each: (each["type"] not in _OTHER_BRANCH, len(each["loc"])))
        path = (part for part in first["loc"] if not _internal(part))
        raise mistake(where, first, path, _fields) from None


_OTHER_BRANCH = ("literal_error", "model_type", "string_type", "mapping_type", "dict_type")


def _internal(part: Any) -> bool:
    """Names that pydantic gives to the branches of a union."""
    return isinstance(part, str) and (part in ("Source", "Column", "literal['mini']", "str") or "[" in part)


def _fields(loc: tuple[Any, ...]) -> list[str]:
    kind = Source if loc[0] == "data" else Column if loc[0] == "tasks" else Spec
    return list(kind.model_fields)
