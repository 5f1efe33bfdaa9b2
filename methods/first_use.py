"""First use on ``mini``: a method that is asked for without its artifacts gets them fitted from the embedded corpus.

They are made by the same code as ``detoxbench fit``, and kept in a cache folder (``DETOXBENCH_CACHE``, else
``~/.cache/detoxbench``) under a hash of everything that changes them. Of two processes that come at once, one waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..core import files, mini
from ..core.constants import MINI
from ..core.folders import cache_folder
from ..core.mini import corpus
from ..core.mini.splits import split_of
from .dexperts import fit as dexperts
from .rectification import fit as rectification
from .rectification import sarsa
from .retrieval import fit as goodtriever
from .training import work
from .training.texts import SIDES, Texts

FORMAT = 1
"""Counted up when the code changes what a fit makes, beyond what the hashed settings say."""

STORE_SENTENCES = 8
"""Of each template: more are near-duplicates, which only crowd the neighbours."""
EXPERTS = dexperts.Settings(
    epochs=1.0, max_steps=60, learning_rate=1e-3, batch_size=32, device_batch_size=32, block_size=64, seed=0
)
CHAIN = rectification.Settings(
    prompt_share=1 / 3,
    prompts=3_570,
    samples=6,
    keep=3,
    own_continuations=5_000,
    max_new_tokens=16,
    training=sarsa.Settings(
        epochs=3, learning_rate=5e-4, lr_scheduler_type="linear", batch_size=128, polyak=0.5, trace=1.0, head_only=True
    ),
)
RECTIFICATION: dict[str, Any] = {"epsilon": 0.15}
"""Values learned from so few texts are seldom near -1."""
SCORER = "mini:reward"
"""Trained on other sentences than the scorer ``mini`` that judges."""


def is_mini(model: PreTrainedModel) -> bool:
    """Whether this is the embedded model."""
    return Path(str(model.name_or_path)) == mini.MODEL


def with_artifacts(method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a method on ``mini``, completed: its artifacts where none is named, fitted if need be, and the
    settings that suit a model of this size where they are not given.

    Args:
        method: a registered method; others than those here need no artifacts.
        arguments: the user's.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    from .first_use_weights import COMPLETE  # which uses the cache below

    complete = {**_COMPLETE, **COMPLETE}.get(method)
    return complete(given) if complete else given


def _goodtriever(given: dict[str, Any]) -> dict[str, Any]:
    if "toxic_datastore" in given or "nontoxic_datastore" in given:
        return given
    folder = datastores()
    paths = {f"{side}_datastore": str(folder / side) for side in SIDES}
    return {**GOODTRIEVER, **paths, **given}


def _dexperts(given: dict[str, Any]) -> dict[str, Any]:
    if "expert" in given or "antiexpert" in given:
        return given
    folder = experts()
    return {name: str(folder / name) for name in ("expert", "antiexpert")} | given


def _knn_lm(given: dict[str, Any]) -> dict[str, Any]:
    if "datastore" in given:
        return given
    if given.get("mode") == "discourage":
        return {"datastore": str(datastores() / "toxic"), **given}
    return {**KNN_LM, "datastore": str(datastores() / "nontoxic"), **given}


def _self_debias(given: dict[str, Any]) -> dict[str, Any]:
    return {**SELF_DEBIAS, **given}


def _rectification(given: dict[str, Any]) -> dict[str, Any]:
    return given if "value_model" in given else {**RECTIFICATION, "value_model": str(value_model()), **given}


_COMPLETE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "goodtriever": _goodtriever,
    "dexperts": _dexperts,
    "knn_lm": _knn_lm,
    "rectification": _rectification,
    "self_debias": _self_debias,
}
GOODTRIEVER: dict[str, Any] = {}
KNN_LM: dict[str, Any] = {"lmbda": 0.8, "temperature": 5.0, "filter_p": 0.8}
"""Distances are shorter than a large model's: at temperature 100 all neighbours weigh nearly the same. What clean
sentences of so small a corpus go on with is often nothing that the text can go on with, hence the filter."""
SELF_DEBIAS: dict[str, Any] = {"decay": 200.0}
"""A model of this size spreads what a description raises over many tokens, a little each."""


def datastores() -> Path:
    """The folder with ``toxic`` and ``nontoxic`` datastores of ``mini``."""

    def make(folder: Path) -> None:
        toxic, nontoxic = (_texts(folder, side, STORE_SENTENCES) for side in SIDES)
        goodtriever.fit(MINI, folder, toxic=toxic, nontoxic=nontoxic, device="cpu")

    return _cached("goodtriever", {"sentences": STORE_SENTENCES}, make)


def experts() -> Path:
    """The folder with ``expert`` and ``antiexpert`` of ``mini``."""

    def make(folder: Path) -> None:
        toxic, nontoxic = (_texts(folder, side) for side in SIDES)
        dexperts.fit(MINI, folder, toxic=toxic, nontoxic=nontoxic, settings=EXPERTS, device="cpu")

    return _cached("dexperts", asdict(EXPERTS), make)


def value_model() -> Path:
    """The value model of ``mini``."""

    def make(folder: Path) -> None:
        # Beginnings of toxic texts alone: few continuations of the others are toxic, and the time is short.
        toxic = _texts(folder, "toxic")
        rectification.fit(MINI, folder, toxic=toxic, scorer=SCORER, settings=CHAIN, device="cpu")

    weights = files.sha256(mini.SCORER / "reward.safetensors")
    return _cached("rectification", {**asdict(CHAIN), "sides": ["toxic"], "scorer": weights}, make) / rectification.NAME


def _cached(name: str, settings: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
    """A folder under the cache, made once. A killed fit goes on where it was stopped."""
    key = {
        "format": FORMAT,
        "settings": dict(settings),
        "model": {path.name: files.sha256(path) for path in sorted(mini.MODEL.glob("*.*")) if path.suffix != ".md"},
        "corpus": {
            str(path.relative_to(corpus.ROOT)): files.sha256(path)
            for path in sorted(corpus.ROOT.glob("*/*"))
            if path.suffix in (".txt", ".json") and not path.name.startswith("prompts_")
        },
        "versions": {package: work.versions().get(package) for package in ("detoxbench", "torch", "transformers")},
    }
    folder = cache_folder() / f"{MINI}-{name}-{files.fingerprint(key)[:16]}"
    done = folder / "fit.json"
    if not done.is_file():
        work.say(f"first use of {name} on {MINI}: fitting its artifacts in {folder} (a few minutes, once)")
        make(folder)
        if not done.is_file():
            files.write_json(done, key)
    return folder


def _texts(folder: Path, side: str, each: int = corpus.EXPANSIONS) -> Texts:
    """One side of the embedded corpus as the JSONL file that a user would give; without what the judge was trained on,
    so that no method has seen its sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{side}.jsonl"
    lines = []
    for lang in corpus.languages():
        counts: dict[int, int] = {}
        for sentence in corpus.sentences(lang):
            if sentence.toxic is not (side == "toxic") or split_of(sentence) == "judge":
                continue
            counts[sentence.template] = counts.get(sentence.template, 0) + 1
            if counts[sentence.template] <= each:
                lines.append(json.dumps({"text": sentence.text, "lang": lang}, ensure_ascii=False) + "\n")
    # Every process writes the same bytes.
    files.write_text(path, "".join(lines))
    return Texts([str(path)], side)
