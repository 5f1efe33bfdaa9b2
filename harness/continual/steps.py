"""The artifacts after each step: datastores that grow, experts trained anew, one more vector.

An artifact lies in ``OUT/artifacts`` under the name of its steps and a hash of everything that changes it, so that two
orders that begin alike share it. It is built in a hidden folder beside, which survives a kill, and appears whole.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError, unknown
from ...core.files import fingerprint
from ...core.mini import model_folder
from .data import Data, methods, safe
from .spec import Spec

COPIED = ".copied"
STORE_OPTIONS = ("exact", "retrain", "layer", "max_length", "batch_tokens")


def model_record(spec: Spec) -> dict[str, Any]:
    """What tells a model from another without loading it: for a folder its files' names, sizes and dates."""
    folder = Path(model_folder(spec.model))
    files = sorted(folder.glob("*.*")) if folder.is_dir() else []
    weights = [path for path in files if path.suffix in (".safetensors", ".json", ".model")]
    stamps = {} if spec.model == MINI else {path.name: path.stat().st_mtime_ns for path in weights}
    sizes = {path.name: path.stat().st_size for path in weights}
    return {"name": spec.model, "args": dict(spec.model_args), "sizes": sizes, "dates": stamps}


class Steps:
    """Builds what a method needs after some steps.

    Args:
        spec: what is added.
        data: the texts.
        folder: of all artifacts.
        keep: whether the artifacts of earlier steps stay.

    Raises:
        DetoxbenchError: for a setting of the fit that the method does not have.
    """

    def __init__(self, spec: Spec, data: Data, folder: Path, keep: bool = True):
        self.spec, self.data, self.folder, self.keep = spec, data, folder, keep
        self._settings(spec.seeds[0])

    def key(self, variant: str, steps: Sequence[str], seed: int, *, at_once: bool = False) -> dict[str, Any]:
        """All that the model after these steps depends on, but for the base model's own content.

        Args:
            at_once: everything is added in one step.
        """
        used = self._used(steps, at_once)
        return {
            "model": model_record(self.spec),
            "method": self.spec.method,
            "fit": self._recorded(seed),
            "texts": [[self.data.record(variant, step) for step in part] for part in used],
            "versions": methods("training.work").versions(),
        }

    def folders(self, variant: str, steps: Sequence[str], seed: int, *, at_once: bool = False) -> list[Path]:
        """The artifacts that are in use after these steps, the last one last."""
        if self.spec.method == "task_vector":
            return [self._folder(variant, part, seed, True) for part in self._used(steps, at_once)]
        return [self._folder(variant, steps if self.spec.update == "union" else steps[-1:], seed, at_once)]

    def build(self, variant: str, steps: Sequence[str], seed: int, *, at_once: bool = False) -> dict[str, Any]:
        """Make what is missing.

        Returns:
            The arguments of the method, the user's included.
        """
        spec, given = self.spec, dict(self.spec.arguments)
        if spec.method == "task_vector":
            parts = self._used(steps, at_once)
            found = [str(path) for part in parts for path in self._vector(variant, part, seed)]
            default = methods("first_use_weights").NEGATION_COEFFICIENT if spec.model == MINI else 1.0
            coefficient = given.pop("coefficient", default)
            # The method takes the mean away; so many times the mean is the sum.
            many = len(parts) if spec.combine == "sum" else 1
            return {**given, "finetuned": found, "coefficient": coefficient * many}
        if spec.method == "dexperts":
            used = self._used(steps, at_once)
            folder = self._experts(variant, [step for part in used for step in part], seed)
            names = ("expert", "antiexpert")
            return {**given, **{name: str(folder / name) for name in names if (folder / name).is_dir()}}
        folder = self._datastores(variant, steps, seed, at_once)
        sides = ("toxic", "nontoxic")
        return {**given, **{f"{side}_datastore": str(folder / side) for side in sides if (folder / side).is_dir()}}

    def _used(self, steps: Sequence[str], at_once: bool) -> list[list[str]]:
        """The parts that are fitted, one after the other, each of one or more steps."""
        if self.spec.method == "dexperts":
            return [list(steps) if at_once or self.spec.update == "union" else [steps[-1]]]
        return [list(steps)] if at_once else [[step] for step in steps]

    def _folder(self, variant: str, steps: Sequence[str], seed: int, at_once: bool) -> Path:
        digest = fingerprint(self.key(variant, steps, seed, at_once=at_once))[:12]
        return self.folder / f"{safe(variant)}-{safe('+'.join(steps))}-{digest}"

    def _datastores(self, variant: str, steps: Sequence[str], seed: int, at_once: bool) -> Path:
        final = self._folder(variant, steps, seed, at_once)
        if final.is_dir():
            return final
        partial = final.with_name(f".{final.name}")
        added = steps if at_once else steps[-1:]
        if not at_once and len(steps) > 1 and not (partial / COPIED).is_file():
            previous = self._datastores(variant, steps[:-1], seed, False)
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(previous, partial)
            (partial / COPIED).touch()
        methods("retrieval.fit").fit(
            self.spec.model, partial, append=True, **self._settings(seed), **self._base(),
            **self.data.texts(variant, added),
        )  # fmt: skip
        (partial / COPIED).unlink(missing_ok=True)
        os.replace(partial, final)
        if not self.keep and not at_once and len(steps) > 1:
            shutil.rmtree(self._folder(variant, steps[:-1], seed, False), ignore_errors=True)
        return final

    def _experts(self, variant: str, steps: Sequence[str], seed: int) -> Path:
        final = self._folder(variant, steps, seed, True)
        if not final.is_dir():
            partial = final.with_name(f".{final.name}")
            methods("dexperts.fit").fit(
                self.spec.model, partial, settings=self._settings(seed), **self._base(),
                **self.data.texts(variant, steps),
            )  # fmt: skip
            os.replace(partial, final)
        return final

    def _vector(self, variant: str, steps: Sequence[str], seed: int) -> list[Path]:
        final = self._folder(variant, steps, seed, True)
        splits = int(self.spec.fit.get("splits", 1))
        if not final.is_dir():
            texts = self.data.texts(variant, steps)
            if "toxic" not in texts:
                raise DetoxbenchError(f"data.{variant}: a task vector needs toxic texts; step '{steps[0]}' has none")
            partial = final.with_name(f".{final.name}")
            methods("task_vector.fit").fit(
                self.spec.model, partial, toxic=texts["toxic"], splits=splits, only=list(range(splits)),
                settings=self._settings(seed), **self._base(),
            )  # fmt: skip
            os.replace(partial, final)
        return [final / f"part_{number}" for number in range(splits)]

    def _base(self) -> dict[str, Any]:
        """Of the base model; the embedded one is small enough for the processor."""
        device = "cpu" if self.spec.model == MINI else self.spec.model_args.get("device")
        return {"revision": self.spec.model_args.get("revision"), "device": device}

    def _settings(self, seed: int) -> Any:
        """Of the fit: keyword arguments for datastores, else the settings of a training."""
        spec, given = self.spec, dict(self.spec.fit)
        if spec.method == "goodtriever":
            _known(given, STORE_OPTIONS)
            return {"exact": True, **given} if spec.model == MINI else given
        mini = spec.model == MINI
        if spec.method == "dexperts":
            default = methods("first_use").EXPERTS if mini else methods("dexperts.fit").Settings()
        else:
            default = methods("first_use_weights").PARTS if mini else methods("training.finetune").Settings()
            splits = given.pop("splits", 1)
            if not isinstance(splits, int) or splits < 1:
                raise DetoxbenchError(f"fit.splits: {splits!r}; it must be a whole number of at least 1")
        _known(given, [field.name for field in dataclasses.fields(default)])
        return dataclasses.replace(default, **{"seed": seed, **given})

    def _recorded(self, seed: int) -> Mapping[str, Any]:
        found = self._settings(seed)
        record = found if isinstance(found, dict) else dataclasses.asdict(found)
        # Memory alone depends on it.
        record = {name: value for name, value in record.items() if name != "batch_tokens"}
        return {**record, "splits": self.spec.fit.get("splits", 1)}


def _known(given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for name in given:
        if name not in allowed:
            raise unknown("key of fit:", name, allowed)
