"""From cells to jobs: what is made first, what each run needs, and the digest under which both are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.files import fingerprint
from ...core.versions import installed
from ...methods.artifact_arguments import artifact_arguments, declared, fit_of
from ...methods.declaration import SIDES
from . import fits
from .cells import Cell, expand, metadata
from .content import Contents, resolved
from .spec import Resources, Sweep
from .store import Store

UNCHANGING = ("batch_size", "max_batch_size", "max_batch_tokens", "device", "parallelize")
"""Arguments of the model that say how it runs, not what it says."""
FIT, RUN = "fit", "run"


@dataclass(frozen=True)
class Job:
    """One process.

    Args:
        kind: ``fit`` or ``run``.
        digest: of all that its output depends on.
        label: for people.
        key: that content, kept beside results.
        content: what the worker is told, as JSON can hold it.
        needs: digests of jobs that have to be done before.
        resources: that it takes.
    """

    kind: str
    digest: str
    label: str
    key: Mapping[str, Any]
    content: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)

    @property
    def name(self) -> str:
        """Of its folder and log: for people, and never two the same."""
        kept = "".join(sign if sign.isalnum() or sign in "=.-_+" else "-" for sign in self.label)
        return f"{kept[:100]}-{self.digest[:12]}"


@dataclass(frozen=True)
class Plan:
    """Jobs by digest, artifacts before the runs that need them; equal cells are one job.

    Args:
        cells: digest -> the cell.
    """

    jobs: Mapping[str, Job]
    cells: Mapping[str, Cell]

    def runs(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.kind == RUN]


def plan(sweep: Sweep, out: Path, store: Store, *, root: Path = Path()) -> Plan:
    """All jobs of a sweep.

    Args:
        out: the sweep's folder.
        store: of the artifacts; texts are put there.
        root: what relative files are relative to.

    Raises:
        DetoxbenchError: for anything that is wrong with the file, before anything runs.
    """
    contents = Contents(out / ".hashes.json")
    maker = _Maker(sweep, out, store, root, contents)
    jobs: dict[str, Job] = {}
    cells: dict[str, Cell] = {}
    for cell in expand(sweep):
        made = maker.fit(cell) if cell.fit is not None else None
        if made is not None:
            jobs.setdefault(made.digest, made)
        job = maker.run(cell, made)
        jobs.setdefault(job.digest, job)
        cells.setdefault(job.digest, cell)
    contents.save()
    return Plan(jobs, cells)


class _Maker:
    def __init__(self, sweep: Sweep, out: Path, store: Store, root: Path, contents: Contents):
        self.sweep, self.out, self.store, self.root, self.contents = sweep, out, store, root, contents
        self.versions = installed()
        self.metadata = {name: resolved(value, root) for name, value in metadata(sweep).items()}
        self._texts: dict[str, str] = {}
        self._models: dict[str, Any] = {}

    def fit(self, cell: Cell) -> Job:
        fit, model = cell.fit, cell.model.model_copy(update={"name": resolved(cell.model.name, self.root)})
        if fit is None:
            raise DetoxbenchError(f"{cell.label()}: nothing to fit")
        try:
            settings = fits.settings(fit, model, cell.method)
        except DetoxbenchError as error:
            raise DetoxbenchError(f"{cell.label()}: {error}") from None
        sentences = fit_of(cell.method).mini.sentences if model.name == MINI else None
        asked = fit.model_dump(include={*SIDES, "pairs", "text", "label", "lang", "langs", "split", "texts"})
        which = fingerprint([asked, sentences])
        if which not in self._texts:
            folder = self.out / "work" / "texts"
            self._texts[which] = fits.gathered(fit, model.name, cell.method, folder, self.root, self.store)
        recipe = fits.recipe(cell.method, model, self._texts[which], self, settings)
        # Methods that share a fit share what it makes.
        key = {"recipe": {name: value for name, value in recipe.items() if name != "method"}, "versions": self.versions}
        shown = " ".join(f"{name}={value}" for name, value in cell.shown.items() if name.startswith("fit."))
        content = {
            "pretrained": model.name, "recipe": recipe, "settings": settings.model_dump(mode="json"),
            "device": model.args.get("device"),
        }  # fmt: skip
        label = f"fit {recipe['fit']} {cell.model.label or Path(model.name).name} {shown}".rstrip()
        return Job(FIT, fingerprint(key), label, key, content, resources=self.sweep.resources)

    def model(self, name: str) -> Any:
        """The content of a model, hashed once."""
        if name not in self._models:
            self._models[name] = self.contents.model(name)
        return self._models[name]

    def run(self, cell: Cell, made: Job | None) -> Job:
        pretrained = resolved(cell.model.name, self.root)
        options = {name: resolved(value, self.root) for name, value in cell.model.args.items() if value is not None}
        given = {name: resolved(value, self.root) for name, value in cell.arguments.items()}
        key = {
            "model": self.model(pretrained),
            "options": {name: self.contents.of(value) for name, value in options.items() if name not in UNCHANGING},
            "method": cell.method,
            "arguments": self._effective(cell, given, pretrained),
            "artifact": made.digest if made else None,
            "tasks": list(cell.tasks),
            "metadata": self.contents.of(self.metadata),
            "limit": self.sweep.limit,
            "seed": cell.seed,
            "versions": self.versions,
            **({"chat": True} if cell.model.chat else {}),
        }
        content = {
            "model_args": {**options, "pretrained": pretrained},
            "method": cell.method,
            "arguments": given,
            "artifact": made.digest if made else None,
            "tasks": list(cell.tasks),
            "metadata": self.metadata,
            "limit": self.sweep.limit,
            "seed": cell.seed,
            "chat": cell.model.chat,
            "key": key,
        }
        needs = (made.digest,) if made else ()
        return Job(RUN, fingerprint(key), cell.label(), key, content, needs, self.sweep.resources)

    def _effective(self, cell: Cell, given: Mapping[str, Any], pretrained: str) -> Any:
        """The arguments in force: a default that is written down is the same content as one that is not."""
        parsed = declared(cell.method).Arguments(**given)
        artifacts = artifact_arguments(cell.method)
        # On the embedded model what is left out may be completed otherwise than by the default.
        own = bool(artifacts) and pretrained == MINI and cell.fit is None and not any(one in given for one in artifacts)
        return self.contents.of(parsed.model_dump(exclude_unset=own, exclude_none=True))
