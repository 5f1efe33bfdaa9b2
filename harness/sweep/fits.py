"""Artifacts of a sweep: the same fits as ``detoxbench fit``, from texts that were brought into one form."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.files import fingerprint, write_lines
from ...methods import first_use
from ...methods.artifact_arguments import declared, fit_of, study_settings
from ...methods.declaration import SIDES
from ...methods.training.pairs import PAIRS, PairColumns, Pairs
from ...methods.training.texts import Columns, Texts
from .content import resolved
from .spec import Fit, Model
from .store import Store

SHORTHAND = ("splits", "scorer")
"""Keys of ``fit:`` that are settings of some fits."""


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
    shutil.rmtree(folder, ignore_errors=True)
    sources = {"toxic": fit.toxic, "nontoxic": fit.nontoxic}
    embedded = model == MINI and not any([*sources.values(), fit.pairs])
    found = {}
    for side in SIDES:
        if embedded:
            corpus = first_use.texts(folder / f".{MINI}", side, fit_of(method).mini.sentences)
            texts = Texts(corpus.sources, side, langs=fit.langs)
        elif sources[side]:
            columns = Columns(fit.text, fit.label, fit.lang)
            texts = Texts(resolved(sources[side], root), side, columns, fit.split, fit.langs)
        else:
            continue
        write_lines(folder / f"{side}.jsonl", _chosen(texts, fit.texts))
        found[side] = Texts([str(folder / f"{side}.jsonl")], side).sha256
    if fit.pairs:
        pairs = Pairs(resolved(fit.pairs, root), PairColumns(lang=fit.lang), fit.langs)
        write_lines(folder / f"{PAIRS}.jsonl", _among([asdict(pair) for pair in pairs], fit.texts))
        found[PAIRS] = Pairs([str(folder / f"{PAIRS}.jsonl")]).sha256
    digest = fingerprint(found)
    if store.find(f"texts-{digest}") is None:
        store.publish(f"texts-{digest}", folder)
    shutil.rmtree(folder, ignore_errors=True)
    return digest


def _chosen(texts: Any, count: int | None) -> list[dict[str, Any]]:
    return _among([{"text": text.text, "lang": text.lang} for text in texts], count)


def _among(rows: list[dict[str, Any]], count: int | None) -> list[dict[str, Any]]:
    """So many rows, in their order. Which ones, a hash says: a smaller number is part of every larger one, and a file
    that is ordered by language gives all of them."""
    if count is None or count >= len(rows):
        return rows
    rank = [_hash(row) for row in rows]
    kept = set(sorted(range(len(rows)), key=lambda at: (rank[at], at))[:count])
    return [row for at, row in enumerate(rows) if at in kept]


def _hash(row: Mapping[str, Any]) -> bytes:
    said = [row["lang"], *(str(value) for name, value in row.items() if name != "lang")]
    return hashlib.sha256("\0".join(map(str, said)).encode("utf-8", "surrogatepass")).digest()


def settings(fit: Fit, model: Model, method: str) -> Any:
    """Of the fit: of the embedded model its own, else the method's, and what the file gives.

    Raises:
        DetoxbenchError: for a setting that the fit does not have.
    """
    options = fit_of(method).settings.options()
    shorthand = {name: getattr(fit, name) for name in SHORTHAND if getattr(fit, name) is not None}
    for name in shorthand:
        if name not in options or name in declared(method).fit_settings:
            raise DetoxbenchError(f"fit.{name}: method {method} has no such setting")
    given = {**fit.options, **shorthand}
    return study_settings(method, given, mini=model.name == MINI, what="option of the fit")


def recipe(method: str, model: Model, texts: str, contents: Any, chosen: Any) -> dict[str, Any]:
    """All that an artifact depends on but the versions of packages.

    Args:
        texts: their digest.
        contents: hashes the model's files.
        chosen: the fit's settings.
    """
    return {
        "fit": fit_of(method).name, "method": method, "model": contents.model(model.name),
        "revision": model.args.get("revision"), "texts": texts, "options": chosen.recorded(),
    }  # fmt: skip


def make(pretrained: str, made: Mapping[str, Any], options: Mapping[str, Any], texts: Path, folder: Path,
         device: str | None) -> None:  # fmt: skip
    """Fit an artifact; one that was killed goes on.

    Args:
        pretrained: the model's name here.
        made: its ``recipe``.
        options: all settings of the fit.
        texts: folder of the texts.
        folder: for the result.
        device: by default a GPU where there is one; the embedded model is small enough for the processor.
    """
    fit = fit_of(made["method"])
    found: dict[str, Any] = {
        side: Texts([str(path)], side) for side in SIDES if (path := texts / f"{side}.jsonl").is_file()
    }
    if (paired := texts / f"{PAIRS}.jsonl").is_file():
        found[PAIRS] = Pairs([str(paired)])
    fit.make(
        pretrained, folder, texts=fit.of_its_sides(found), settings=fit.settings(**options), revision=made["revision"],
        device="cpu" if pretrained == MINI else device, **growing(made["method"]),
    )  # fmt: skip


def growing(method: str) -> dict[str, bool]:
    """The keyword of a fit that grows what is there."""
    grows = fit_of(method).grows
    return {"append": True} if grows is not None and grows.kind == "append" else {}
