"""What ``score`` and ``agreement`` are given: files of generations grouped into runs, and scorers by specification."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from ...core import generation_files, results, scorers
from ...core.constants import AUTO, MINI
from ...core.errors import DetoxbenchError, unknown
from ...core.files import sha256_text
from ...core.generation_files import GenerationFile
from ...core.records import ModelRun
from ...core.registry import SCORERS
from ...core.scorers.archive import default_path
from ...core.scorers.choice import best
from ...core.scorers.presets import names as preset_names
from ...core.scorers.presets import spec_of

_SAMPLES = re.compile(r"samples_(.+)_(\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl$")
GIVEN = "given"


@dataclass
class Source:
    """The files of one run: one generation file, or all samples files that lm-eval wrote at one time.

    Args:
        label: what tables call it.
        folder: name of the folder of its results.
        files: as read, with the parts that are measured together.
        model: how the texts were made, if that is known.
        groups: see ``results.Run``.
    """

    label: str
    folder: str
    files: list[tuple[GenerationFile, list[Any]]]
    model: ModelRun | None = None
    groups: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def parts(self) -> list[Any]:
        return [part for _, parts in self.files for part in parts]


def read(paths: Sequence[Path], lang: str | None) -> list[Source]:
    """All files, read and checked; a file that is given twice counts once.

    Raises:
        DetoxbenchError: see ``generation_files.read``.
    """
    from ...tasks.rescore import parts as parts_of

    found: dict[object, Source] = {}
    runs: dict[Path, results.Run | None] = {}
    for path in dict.fromkeys(paths):
        if path.is_dir():
            raise DetoxbenchError(
                f"'{path}' is a folder; give the files in it: generations, or lm-eval's {path}/samples_*.jsonl"
            )
        file = generation_files.read(path, lang)
        match = _SAMPLES.search(path.name) if file.samples else None
        if match is None:
            name = path.stem if file.samples else None
            found[path] = Source(path.stem, path.stem, [(file, parts_of(file, name))])
            continue
        beside = path.with_name(f"results_{match[2]}.json")
        if beside not in runs:
            runs[beside] = _run(beside)
        run = runs[beside]
        record = run.tasks[match[1]].record if run and match[1] in run.tasks else None
        source = found.setdefault(
            beside,
            Source(
                run.label if run else path.parent.resolve().name,
                f"{path.parent.resolve().name}_{match[2]}",
                [],
                run.model if run else None,
                run.groups if run else {},
            ),
        )
        source.files.append((file, parts_of(file, match[1], record)))
    for source in found.values():
        there = {part.task for part in source.parts}
        source.groups = {
            name: [task for task in members if task in there]
            for name, members in source.groups.items()
            if there.intersection(members)
        }
    _tell_apart(list(found.items()))
    return list(found.values())


def _run(path: Path) -> results.Run | None:
    """A results file, or None where there is none that has tasks of ours."""
    try:
        return results.read(path) if path.is_file() else None
    except DetoxbenchError:
        return None


def _tell_apart(found: Sequence[tuple[Any, Source]]) -> None:
    """Different folders for files of one name."""
    names = [source.folder for _, source in found]
    for path, source in found:
        if names.count(source.folder) > 1:
            where = sha256_text(str(Path(path).resolve()))[:8]
            source.folder = f"{source.folder}-{where}"
            source.label = str(path) if source.model is None else source.label


def load(
    specs: Sequence[str],
    sources: Sequence[Source],
    *,
    archive: Path | None,
    offline: bool,
    on_unsupported: str | None,
) -> list[tuple[str, Any]]:
    """The scorers, each with the archive in front of it, after checking that they support all languages.

    Returns:
        Specification and scorer, or what stands for one where the files' own scores are asked for.

    Raises:
        DetoxbenchError: for an unknown scorer or option, or a language that one that was named does not support.
    """
    chosen = _chosen(sources) if AUTO in specs else None
    specs = [chosen if spec == AUTO and chosen else spec for spec in specs]
    for spec in specs:
        if (name := spec_of(spec).partition(":")[0]) not in (GIVEN, *SCORERS):
            raise unknown("scorer", name, (GIVEN, *SCORERS, *preset_names()))
    found: list[tuple[str, Any]] = []
    path = str(archive or default_path())
    for spec in dict.fromkeys(specs):
        if spec.partition(":")[0] == GIVEN:
            found.append((spec, _given(spec, sources)))
            continue
        own = None if re.search(r"[:,]archive=", spec) else path
        # What nobody named must not stop at a language that it does not know.
        unsupported = on_unsupported or ("nan" if spec == chosen else None)
        scorer = scorers.load(spec, archive=own, offline=offline or None, on_unsupported=unsupported)
        for source in sources:
            for file, _ in source.files:
                for lang in file.langs:
                    try:
                        scorers.check_language(scorer, lang)
                    except DetoxbenchError as error:
                        raise DetoxbenchError(f"'{file.path}': {error}") from None
        if offline:
            scorer.ready()
        scorer.open()  # now, so that an archive that cannot be used is an error before any work
        found.append((spec, scorer))
    return found


def _chosen(sources: Sequence[Source]) -> str:
    """What ``auto`` stands for: the embedded world's own scorer for its texts, else the best-validated one, which one
    line names with its validity.

    Raises:
        DetoxbenchError: where there is none for any of the languages.
    """
    embedded = all(
        source.model is not None
        and source.model.pretrained == MINI
        and all(part.prompt_set == MINI for part in source.parts)
        for source in sources
    )
    if embedded:
        return MINI
    choice = best(lang for source in sources for file, _ in source.files for lang in file.langs)
    typer.echo(f"scorer {AUTO}: {choice}", err=True)
    return choice.spec


def _given(spec: str, sources: Sequence[Source]) -> Any:
    """``given``, ``given:<scorer>`` or ``given:<scorer>,version=<version>``: scores that the files hold."""
    name, _, version = spec.partition(",version=")
    for source in sources:
        for file, _ in source.files:
            if not file.attributes:
                raise DetoxbenchError(f"scorer '{GIVEN}': '{file.path}' holds no scores of its generations")
    attributes = sources[0].files[0][0].attributes
    from ...tasks.rescore import GivenScores

    return GivenScores(name, version or "as in the file", attributes)
