"""Artifacts of a sweep: the same fits as ``detoxbench fit``, from texts that were brought into one form."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError, unknown
from ...core.files import fingerprint, write_lines
from .content import resolved
from .spec import Fit, Model
from .store import Store

SIDES = ("toxic", "nontoxic")
STORE_OPTIONS = ("exact", "layer", "max_length")
DATASTORES, VECTORS = ("goodtriever", "knn_lm"), ("task_vector", "negation")
SPLITS = 5


def methods(name: str) -> Any:
    """A module of the methods folder, by name: harness imports no other folder."""
    return importlib.import_module(f"detoxbench.methods.{name}")


def gathered(fit: Fit, model: str, method: str, folder: Path, root: Path, store: Store) -> str:
    """Put the texts of a fit into the store.

    Args:
        folder: to work in; emptied at the end.
        root: what relative files are relative to.

    Returns:
        Their digest in the store: of the texts themselves, whatever files they came from.

    Raises:
        DetoxbenchError: for texts that cannot be read.
    """
    kind = methods("training.texts")
    shutil.rmtree(folder, ignore_errors=True)
    sources = {"toxic": fit.toxic, "nontoxic": fit.nontoxic}
    embedded = model == MINI and not any(sources.values())
    found = {}
    for side in SIDES:
        if embedded:
            mini = methods("first_use")
            each = mini.STORE_SENTENCES if method in DATASTORES else mini.corpus.EXPANSIONS
            texts = kind.Texts(mini._texts(folder / f".{MINI}", side, each).sources, side, langs=fit.langs)
        elif sources[side]:
            columns = kind.Columns(fit.text, fit.label, fit.lang)
            texts = kind.Texts(resolved(sources[side], root), side, columns, fit.split, fit.langs)
        else:
            continue
        write_lines(folder / f"{side}.jsonl", _chosen(texts, fit.texts))
        found[side] = kind.Texts([str(folder / f"{side}.jsonl")], side).sha256
    digest = fingerprint(found)
    if store.find(f"texts-{digest}") is None:
        store.publish(f"texts-{digest}", folder)
    shutil.rmtree(folder, ignore_errors=True)
    return digest


def _chosen(texts: Any, count: int | None) -> list[dict[str, Any]]:
    """So many texts, in their order. Which ones, a hash says: a smaller number is part of every larger one, and a file
    that is ordered by language gives all of them."""
    rows = [{"text": text.text, "lang": text.lang} for text in texts]
    if count is None or count >= len(rows):
        return rows
    rank = [hashlib.sha256(f"{row['lang']}\0{row['text']}".encode("utf-8", "surrogatepass")).digest() for row in rows]
    kept = set(sorted(range(len(rows)), key=lambda at: (rank[at], at))[:count])
    return [row for at, row in enumerate(rows) if at in kept]


def recipe(fit: Fit, model: Model, method: str, texts: str, contents: Any) -> dict[str, Any]:
    """All that an artifact depends on but the versions of packages.

    Args:
        texts: their digest.
        contents: hashes the model's files.

    Raises:
        DetoxbenchError: for a setting that the fit does not have.
    """
    kind = "goodtriever" if method in DATASTORES else "task_vector" if method in VECTORS else method
    if fit.splits is not None and method != "task_vector":
        raise DetoxbenchError(f"fit.splits: it belongs to method task_vector, not to {method}")
    if (fit.scorer is not None) != (kind == "rectification") and model.name != MINI:
        raise DetoxbenchError("fit.scorer: rectification needs one, and no other method has it")
    made = {
        "method": kind, "model": contents.model(model.name), "revision": model.args.get("revision"), "texts": texts,
        "options": _options(kind, model.name, fit.options),
    }  # fmt: skip
    if kind == "task_vector":
        made["splits"] = 1 if method == "negation" else fit.splits or SPLITS
    if kind == "rectification":
        made["scorer"] = fit.scorer or methods("first_use").SCORER
    return made


def _options(kind: str, model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "goodtriever":
        for name in given:
            if name not in STORE_OPTIONS:
                raise unknown("option of the fit", name, STORE_OPTIONS)
        return {"exact": model == MINI, **given}
    default = _default(kind, model)
    names = [field.name for field in dataclasses.fields(default)]
    for name in given:
        if name not in names:
            raise unknown("option of the fit", name, names)
    return dataclasses.asdict(dataclasses.replace(default, **given))


def _default(kind: str, model: str) -> Any:
    """Settings of the training: of the embedded model its own, else the method's."""
    own = model == MINI
    if kind == "dexperts":
        return methods("first_use").EXPERTS if own else methods("dexperts.fit").Settings()
    if kind == "rectification":
        return methods("first_use").CHAIN if own else methods("rectification.fit").Settings()
    weights = methods("first_use_weights")
    if kind == "dapt":
        return weights.DAPT if own else methods("dapt.fit").DEFAULTS
    if kind == "gradient_ascent":
        return weights.ASCENT if own else methods("gradient_ascent.fit").DEFAULTS
    return weights.PARTS if own else methods("task_vector.fit").DEFAULTS


def make(pretrained: str, made: Mapping[str, Any], texts: Path, folder: Path, device: str | None) -> None:
    """Fit an artifact; one that was killed goes on.

    Args:
        pretrained: the model's name here.
        made: its ``recipe``.
        texts: folder of the texts.
        folder: for the result.
        device: by default a GPU where there is one; the embedded model is small enough for the processor.
    """
    kind = made["method"]
    given = {
        side: methods("training.texts").Texts([str(path)], side)
        for side in SIDES
        if (path := texts / f"{side}.jsonl").is_file()
    }
    base = {"revision": made["revision"], "device": "cpu" if pretrained == MINI else device}
    if kind == "goodtriever":
        methods("retrieval.fit").fit(pretrained, folder, append=True, **made["options"], **base, **given)
        return
    settings = _settings(kind, pretrained, made["options"])
    side = {"task_vector": "toxic", "gradient_ascent": "toxic", "dapt": "nontoxic"}.get(kind)
    if side is not None:
        if side not in given:
            raise DetoxbenchError(f"fit: {kind} needs {side} texts")
        given = {side: given[side]}
    more: dict[str, Any] = {}
    if kind == "task_vector":
        more = {"splits": made["splits"], "only": list(range(made["splits"]))}
    elif kind == "rectification":
        more = {"scorer": made["scorer"]}
    methods(f"{kind}.fit").fit(pretrained, folder, settings=settings, **more, **base, **given)


def _settings(kind: str, model: str, options: Mapping[str, Any]) -> Any:
    default = _default(kind, model)
    given = dict(options)
    if kind == "rectification" and isinstance(given.get("training"), Mapping):
        given["training"] = dataclasses.replace(default.training, **given["training"])
    return dataclasses.replace(default, **given)


def arguments(method: str, given: Mapping[str, Any], folder: Path, splits: int = 1) -> dict[str, Any]:
    """The arguments of a method that name what was made."""
    if method == "goodtriever":
        return {f"{side}_datastore": str(folder / side) for side in SIDES if (folder / side).is_dir()}
    if method == "knn_lm":
        return {"datastore": str(folder / ("toxic" if given.get("mode") == "discourage" else "nontoxic"))}
    if method == "dexperts":
        return {name: str(folder / name) for name in ("expert", "antiexpert") if (folder / name).is_dir()}
    if method == "rectification":
        return {"value_model": str(folder / "value_model")}
    if method == "task_vector":
        return {"finetuned": [str(folder / f"part_{number}") for number in range(splits)]}
    return {"finetuned": str(folder / ("part_0" if method == "negation" else method))}
