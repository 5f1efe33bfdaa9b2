"""First use on ``mini``: a method that is asked for without its artifacts gets them fitted from the embedded corpus.

They are made by the same code as ``detoxbench fit``, and kept in a cache folder (``DETOXBENCH_CACHE``, else
``~/.cache/detoxbench``) under a hash of everything that changes them. Of two processes that come at once, one waits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..core import files, mini
from ..core.constants import MINI
from ..core.folders import cache_folder
from ..core.mini import corpus
from ..core.mini.splits import split_of
from .artifact_arguments import artifact_arguments, declared, fit_of, fit_settings, naming
from .training import work
from .training.texts import Texts

FORMAT = 1
"""Counted up when the code changes what a fit makes, beyond what the hashed settings say."""


def is_mini(model: PreTrainedModel) -> bool:
    """Whether this is the embedded model."""
    return Path(str(model.name_or_path)) == mini.MODEL


def with_artifacts(method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a method on ``mini``, completed: its artifacts where none is named, fitted if need be, and the
    settings that suit a model of this size where they are not given.

    Args:
        method: a registered method.
        arguments: the user's.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if (several := declared(method).completed(with_artifacts, given)) is not None:
        return several
    if any(name in given for name in artifact_arguments(method)):
        return given
    suited = {**declared(method).on_mini(given), **given}
    wanted = any(all(suited.get(name) == value for name, value in use.when.items()) for use in declared(method).uses)
    return {**naming(method, artifacts(method), suited), **suited} if wanted else suited


@dataclass(frozen=True)
class _Place:
    """Where a method's artifacts are kept, by the hash of everything that changes them."""

    folder: Path
    key: dict[str, Any]

    @property
    def done(self) -> Path:
        return self.folder / "fit.json"


def _place(method: str) -> _Place:
    fit = fit_of(method)
    settings = fit_settings(method, fit.mini.settings, fit.unattended)
    sides = fit.mini.sides or fit.takes
    key = {
        "format": FORMAT,
        "settings": {**settings.recorded(), "sides": sides, "sentences": fit.mini.sentences},
        "model": {path.name: files.sha256(path) for path in sorted(mini.MODEL.glob("*.*")) if path.suffix != ".md"},
        "corpus": {
            str(path.relative_to(corpus.ROOT)): files.sha256(path)
            for path in sorted(corpus.ROOT.glob("*/*"))
            if path.suffix in (".txt", ".json") and not path.name.startswith("prompts_")
        },
        "files": {path.name: files.sha256(path) for path in fit.mini.files},
        "versions": {package: work.versions().get(package) for package in ("detoxbench", "torch", "transformers")},
    }
    folder = cache_folder() / f"{MINI}-{fit.name}-{files.fingerprint(key)[:16]}"
    return _Place(folder, key)


def is_there(method: str) -> bool:
    """Whether they are made already."""
    return _place(method).done.is_file()


def artifacts(method: str) -> Path:
    """The folder with a method's artifacts for ``mini``, made once. A killed fit goes on where it was stopped."""
    fit, place = fit_of(method), _place(method)
    folder, done, key = place.folder, place.done, place.key
    settings = fit_settings(method, fit.mini.settings, fit.unattended)
    sides = fit.mini.sides or fit.takes
    if not done.is_file():
        long = f"about {_duration(fit.mini.minutes)}" if fit.mini.minutes else "some minutes"
        work.say(f"first use of {method} on {MINI}: its artifacts are fitted once, in {folder}; {long} of one core")
        before = _seconds()
        given = {side: texts(folder, side, fit.mini.sentences) for side in sides}
        fit.make(MINI, folder, texts=given, settings=settings, device="cpu")
        if not done.is_file():
            files.write_json(done, key)
        work.say(f"{method}: fitted in {_seconds() - before:,.0f} s of processor time; {_size(folder)} in {folder}")
    return folder


def _seconds() -> float:
    """Processor time of this process, whatever else the machine is doing."""
    return time.process_time()


def _duration(minutes: float) -> str:
    return f"{minutes:g} min" if minutes >= 1 else f"{60 * minutes:.0f} s"


def _size(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 2**20:,.0f} MiB"


def texts(folder: Path, side: str, each: int) -> Texts:
    """One side of the embedded corpus as the JSONL file that a user would give; without what the judge was trained on,
    so that no method has seen its sentences."""
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
