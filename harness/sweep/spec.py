"""The YAML file of ``detoxbench sweep``; every mistake is one line that names the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pydantic

from ...core.constants import MINI
from ...core.errors import DetoxbenchError, unknown
from ..study_file import mistake, read_mapping

VARIABLE = re.compile(r"\$\{([^}]*)\}")
UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def _list(value: Any) -> Any:
    """One thing as a list of it; null as none."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _method(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


def _langs(value: Any) -> Any:
    """YAML 1.1 reads ``no``, the tag of Norwegian, as false."""
    return ["no" if one is False else one for one in _list(value)]


def _bytes(value: Any) -> Any:
    """``16GB`` as a number."""
    match = re.fullmatch(r"\s*([\d.]+)\s*([KMGT]?i?B?)\s*", str(value), re.IGNORECASE)
    if value is None or match is None:
        return value
    unit = match[2].upper().replace("I", "")
    return int(float(match[1]) * UNITS[unit if unit.endswith("B") or not unit else f"{unit}B"])


Strings = Annotated[tuple[str, ...], pydantic.BeforeValidator(_list)]


class Model(_Strict):
    """A model, or its name alone.

    Args:
        name: folder, hub name or ``mini``.
        args: further arguments of the lm-eval model ``detox`` (``dtype``, ``revision``, ``device_map_option``, …).
        chat: through its chat template, as ``lm_eval --apply_chat_template``.
        label: in tables and folders' names.
    """

    name: Annotated[str, pydantic.Field(min_length=1)]
    args: Mapping[str, Any] = {}
    chat: bool = False
    label: str | None = None


class Fit(_Strict):
    """Artifacts that the sweep makes for a method, once for each model and setting.

    Args:
        toxic, nontoxic: JSONL files or Hugging Face data sets, as for ``detoxbench fit``; on ``mini``, where neither is
            given, the embedded corpus.
        pairs: of fits that learn from paired text, files of it, as ``--pairs`` of ``detoxbench fit``.
        text, label, lang: names of the fields.
        langs: only texts in these languages.
        split: of data sets.
        texts: so many texts a side, or pairs, the same ones in every larger number; by default all.
        splits: of fits with such a setting: parts of the toxic texts.
        scorer: of fits with such a setting: whose scores are the reward.
        options: settings of the fit, as ``detoxbench fit METHOD`` names them.
    """

    toxic: Strings = ()
    nontoxic: Strings = ()
    pairs: Strings = ()
    text: str = "text"
    label: str = "label"
    lang: str = "lang"
    langs: Annotated[tuple[str, ...], pydantic.BeforeValidator(_langs)] = ()
    split: str = "train"
    texts: Annotated[int | None, pydantic.Field(ge=1)] = None
    splits: Annotated[int | None, pydantic.Field(ge=1)] = None
    scorer: str | None = None
    options: Mapping[str, Any] = {}


class Method(_Strict):
    """A method, or its name alone.

    Args:
        method: a registered method.
        arguments: of it; null is as if not given.
        grid: argument -> values: every combination is a cell. ``fit.texts``, ``fit.options.epochs``, … are of the fit.
        fit: artifacts to make; without it they are named in ``arguments`` (or those of ``mini`` are used).
        label: in tables and folders' names.
    """

    method: str = "none"
    arguments: Mapping[str, Any] = {}
    grid: Mapping[str, Annotated[list[Any], pydantic.BeforeValidator(_list), pydantic.Field(min_length=1)]] = {}
    fit: Fit | None = None
    label: str | None = None


class Resources(_Strict):
    """What one cell takes; Ray keeps account of it, the local engine of GPUs alone.

    Args:
        gpus: devices.
        cpus: cores.
        memory: ``16GB``.
        processes: of ``accelerate launch``, one a GPU; prompts are shared out among them, which lm-eval does on GPUs
            alone: on a processor every process would do all of them.
        retries: on another node, where a node died.
    """

    gpus: Annotated[float, pydantic.Field(ge=0)] = 0
    cpus: Annotated[float, pydantic.Field(gt=0)] = 1
    memory: Annotated[int | None, pydantic.BeforeValidator(_bytes), pydantic.Field(ge=1)] = None
    processes: Annotated[int, pydantic.Field(ge=1)] = 1
    retries: Annotated[int, pydantic.Field(ge=0)] = 3

    @pydantic.model_validator(mode="after")
    def _one_each(self) -> Resources:
        if self.processes > 1 and self.gpus < self.processes:
            raise ValueError(f"{self.processes} processes need gpus: {self.processes}; there are {self.gpus:g}")
        return self


class Sweep(_Strict):
    """What is crossed with what.

    Args:
        description: for people.
        variables: name -> default of what ``${name}`` stands for; ``--set name=value`` gives another. A default may use
            the variables before it.
        models, methods, seeds: each with each.
        tasks: lm-eval tasks and groups of ours, or lists of them: an entry is a cell.
        samples: continuations of a prompt.
        limit: only the first prompts of each task.
        metadata: of the tasks (``scorer``, ``fluency_model``, …), as lm-eval's ``--metadata``.
        resources: of a cell.
    """

    description: str = ""
    variables: Mapping[str, Any] = {}
    models: Annotated[
        tuple[Annotated[Model, pydantic.BeforeValidator(_named)], ...],
        pydantic.BeforeValidator(_list), pydantic.Field(min_length=1),
    ] = (Model(name=MINI),)  # fmt: skip
    methods: Annotated[
        tuple[Annotated[Method, pydantic.BeforeValidator(_method)], ...],
        pydantic.BeforeValidator(_list), pydantic.Field(min_length=1),
    ] = (Method(),)  # fmt: skip
    tasks: Annotated[
        tuple[Annotated[tuple[str, ...], pydantic.BeforeValidator(_list), pydantic.Field(min_length=1)], ...],
        pydantic.BeforeValidator(_list), pydantic.Field(min_length=1),
    ] = (("rtp_multilingual",),)  # fmt: skip
    seeds: Annotated[tuple[int, ...], pydantic.BeforeValidator(_list), pydantic.Field(min_length=1)] = (0,)
    samples: Annotated[int | None, pydantic.Field(ge=1)] = None
    limit: Annotated[int | None, pydantic.Field(ge=1)] = None
    metadata: Mapping[str, Any] = {}
    resources: Resources = Resources()

    @pydantic.model_validator(mode="after")
    def _once(self) -> Sweep:
        if self.samples is not None and "samples" in self.metadata:
            raise ValueError("samples: it is given twice, here and under metadata")
        return self


def read(path: Path, settings: Mapping[str, Any] | None = None) -> Sweep:
    """The file, with its variables filled in, checked.

    Args:
        path: YAML.
        settings: values for its variables.

    Raises:
        DetoxbenchError: in one line, with the path of the key.
    """
    return parse(read_mapping(path, "models: …, methods: …"), str(path), settings)


def parse(raw: Mapping[str, Any], where: str = "sweep", settings: Mapping[str, Any] | None = None) -> Sweep:
    """Keys and values as a ``Sweep``; see ``read``."""
    declared = raw.get("variables") or {}
    if not isinstance(declared, Mapping):
        raise DetoxbenchError(f"'{where}': variables: it must hold names and values, not a {type(declared).__name__}")
    for name in settings or {}:
        if name not in declared:
            raise unknown(f"variable in '{where}'", name, declared)
    values = dict(settings or {})
    for name, value in declared.items():
        if name not in values:
            values[name] = _filled(value, values, where, f"variables.{name}")
    body = {str(key): value for key, value in raw.items() if key != "variables"}
    try:
        return Sweep(**_filled(body, values, where, ""), variables=values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise mistake(where, first, first["loc"], _allowed) from None


def _filled(value: Any, values: Mapping[str, Any], where: str, key: str) -> Any:
    """``${name}`` replaced: a text that is nothing else becomes the value itself, a list or a number included."""
    if isinstance(value, Mapping):
        return {str(name): _filled(one, values, where, f"{key}.{name}".lstrip(".")) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values, where, f"{key}.{at}") for at, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    for name in VARIABLE.findall(value):
        if name not in values:
            raise unknown(f"variable in '{where}', {key}:", name, values)
    whole = VARIABLE.fullmatch(value)
    return values[whole[1]] if whole else VARIABLE.sub(lambda match: str(values[match[1]]), value)


def _allowed(loc: tuple[Any, ...]) -> list[str]:
    kinds: Mapping[Any, type[_Strict]] = {"models": Model, "methods": Method, "resources": Resources}
    kind = Sweep if len(loc) == 1 else Fit if "fit" in loc else kinds.get(loc[0], Sweep)
    return list(kind.model_fields)
