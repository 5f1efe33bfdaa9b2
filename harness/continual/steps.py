"""The artifacts after each step: that grow, are trained anew, or gain one more vector, as the method declares.

An artifact lies in ``OUT/artifacts`` under the name of its steps and a hash of everything that changes it, so that two
orders that begin alike share it. It is built in a hidden folder beside, which survives a kill, and appears whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.files import fingerprint
from ...core.mini import model_folder
from ...methods.artifact_arguments import declared, fit_of, naming, study_settings
from ...methods.training import work
from .data import Data, safe
from .spec import Spec

COPIED = ".copied"


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
        self.fit, self.growth = fit_of(spec.method), spec.growth()
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
            "fit": self._settings(seed).recorded(),
            "texts": [[self.data.record(variant, step) for step in part] for part in used],
            "versions": work.versions(),
        }

    def folders(self, variant: str, steps: Sequence[str], seed: int, *, at_once: bool = False) -> list[Path]:
        """The artifacts that are in use after these steps, the last one last."""
        if self.growth.kind == "vectors":
            return [self._folder(variant, part, seed, True) for part in self._used(steps, at_once)]
        last = self.growth.kind == "retrain" and self.spec.update == "last"
        return [self._folder(variant, steps[-1:] if last else steps, seed, at_once)]

    def build(self, variant: str, steps: Sequence[str], seed: int, *, at_once: bool = False) -> dict[str, Any]:
        """Make what is missing.

        Returns:
            The arguments of the method, the user's included.
        """
        spec, given = self.spec, dict(self.spec.arguments)
        parts = self._used(steps, at_once)
        if self.growth.kind == "append":
            return {**given, **naming(spec.method, self._grown(variant, steps, seed, at_once), given)}
        if self.growth.kind == "retrain":
            folder = self._fitted(variant, [step for part in parts for step in part], seed)
            return {**given, **naming(spec.method, folder, given)}
        use = next(use for use in declared(spec.method).uses if use.many)
        artifact = self.fit.artifact(use.artifact)
        folders = [self._fitted(variant, part, seed) for part in parts]
        given[use.argument] = [str(path) for folder in folders for path in artifact.paths(folder)]
        strength = self.growth.strength
        if strength is not None:
            default = declared(spec.method).Arguments.model_fields[strength].default
            if spec.model == MINI:
                default = self.growth.mini.get(strength, default)
            # The method takes the mean away; so many times the mean is the sum.
            given[strength] = given.get(strength, default) * (len(parts) if spec.combine == "sum" else 1)
        return given

    def _used(self, steps: Sequence[str], at_once: bool) -> list[list[str]]:
        """The parts that are fitted, one after the other, each of one or more steps."""
        if self.growth.kind == "retrain":
            return [list(steps) if at_once or self.spec.update == "union" else [steps[-1]]]
        return [list(steps)] if at_once else [[step] for step in steps]

    def _folder(self, variant: str, steps: Sequence[str], seed: int, at_once: bool) -> Path:
        digest = fingerprint(self.key(variant, steps, seed, at_once=at_once))[:12]
        return self.folder / f"{safe(variant)}-{safe('+'.join(steps))}-{digest}"

    def _grown(self, variant: str, steps: Sequence[str], seed: int, at_once: bool) -> Path:
        """The last step's artifact, copied and grown."""
        final = self._folder(variant, steps, seed, at_once)
        if final.is_dir():
            return final
        partial = final.with_name(f".{final.name}")
        added = steps if at_once else steps[-1:]
        if not at_once and len(steps) > 1 and not (partial / COPIED).is_file():
            previous = self._grown(variant, steps[:-1], seed, False)
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(previous, partial)
            (partial / COPIED).touch()
        self._run(variant, added, seed, partial, append=True)
        (partial / COPIED).unlink(missing_ok=True)
        os.replace(partial, final)
        if not self.keep and not at_once and len(steps) > 1:
            shutil.rmtree(self._folder(variant, steps[:-1], seed, False), ignore_errors=True)
        return final

    def _fitted(self, variant: str, steps: Sequence[str], seed: int) -> Path:
        """An artifact made anew from the texts of some steps."""
        final = self._folder(variant, steps, seed, True)
        if not final.is_dir():
            partial = final.with_name(f".{final.name}")
            self._run(variant, steps, seed, partial)
            os.replace(partial, final)
        return final

    def _run(self, variant: str, steps: Sequence[str], seed: int, folder: Path, **more: bool) -> None:
        texts = self.data.texts(variant, steps)
        missing = [side for side in self.fit.needs if side not in texts]
        if missing:
            raise DetoxbenchError(
                f"data.{variant}: {self.spec.method} needs {missing[0]} texts; step '{steps[0]}' has none"
            )
        # The embedded model is small enough for the processor.
        device = "cpu" if self.spec.model == MINI else self.spec.model_args.get("device")
        self.fit.make(
            self.spec.model, folder, texts=self.fit.of_its_sides(texts), settings=self._settings(seed),
            revision=self.spec.model_args.get("revision"), device=device, **more,
        )  # fmt: skip

    def _settings(self, seed: int) -> Any:
        """Of the fit of one step."""
        seeded = {"seed": seed} if "seed" in self.fit.settings.options() else {}
        return study_settings(
            self.spec.method, self.spec.fit, mini=self.spec.model == MINI, step={**self.growth.settings, **seeded},
            what="key of fit:",
        )  # fmt: skip
