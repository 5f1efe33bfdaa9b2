"""The texts of each step, brought into one form: ``OUT/data/VARIANT/STEP.SIDE.jsonl`` with ``text`` and ``lang``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.files import write_lines
from ...core.mini import corpus
from ...methods import first_use
from ...methods.artifact_arguments import fit_of
from ...methods.declaration import SIDES
from ...methods.training.texts import Columns, Texts
from .spec import STEP, Source, Spec


class Data:
    """Texts by variant, step and side; two steps with the same texts have the same sha256.

    Args:
        spec: what is added.
        folder: where the texts are written.
        root: what relative files are relative to.

    Raises:
        DetoxbenchError: for texts that cannot be read, or a step without any, before anything is fitted.
    """

    def __init__(self, spec: Spec, folder: Path, root: Path):
        self.spec, self.folder, self.root = spec, folder, root
        self._sentences = fit_of(spec.method).mini.sentences
        self._corpus: dict[str, Any] = {}
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        for variant in spec.data:
            for step in spec.steps():
                self._found[variant, step] = self._read(variant, step)

    def record(self, variant: str, step: str) -> dict[str, str]:
        """Side -> sha256 of its texts."""
        return {side: texts.sha256 for side, texts in self._found[variant, step].items()}

    def counts(self, variant: str, step: str) -> dict[str, int]:
        """Side -> number of its texts."""
        return {side: texts.count for side, texts in self._found[variant, step].items()}

    def texts(self, variant: str, steps: Sequence[str]) -> dict[str, Any]:
        """Side -> the texts of some steps together, one step after the other, as a fit takes them."""
        sources = {side: [str(one) for step in steps if (one := self._path(variant, step, side)).is_file()]
                   for side in SIDES}  # fmt: skip
        return {side: Texts(files, side) for side, files in sources.items() if files}

    def _path(self, variant: str, step: str, side: str) -> Path:
        return self.folder / safe(variant) / f"{safe(step)}.{side}.jsonl"

    def _read(self, variant: str, step: str) -> dict[str, Any]:
        given = self.spec.data[variant]
        found = {}
        for side in SIDES:
            path = self._path(variant, step, side)
            path.unlink(missing_ok=True)  # of another file by this name
            one = self._embedded(step, side) if given == MINI else self._given(given, step, side)
            if one is None:
                continue
            write_lines(path, ({"text": text.text, "lang": text.lang} for text in one))
            found[side] = Texts([str(path)], side)
        return found

    def _embedded(self, step: str, side: str) -> Any:
        if step not in corpus.languages():
            raise DetoxbenchError(
                f"orders: the embedded corpus has no '{step}'; it has {', '.join(corpus.languages())}"
            )
        if side not in self._corpus:  # of all languages: expanding it takes seconds
            self._corpus[side] = first_use.texts(self.folder / MINI, side, self._sentences)
        return Texts(self._corpus[side].sources, side, langs=(step,))

    def _given(self, given: Source | Mapping[str, Source] | Any, step: str, side: str) -> Any:
        source = given if isinstance(given, Source) else given[step]
        names = [name.replace(STEP, step) for name in getattr(source, side)]
        if not names:
            return None
        return Texts(
            [self._resolved(name) for name in names], side, Columns(source.text, source.label, source.lang),
            source.split, tuple(lang.replace(STEP, step) for lang in source.langs),
        )  # fmt: skip

    def _resolved(self, name: str) -> str:
        """A file beside the YAML file, wherever the command runs; else what was given."""
        path = self.root / Path(name).expanduser()
        return str(path) if path.is_file() or path.suffix in (".jsonl", ".json") else name


def safe(name: str) -> str:
    """A name as part of a file's name."""
    kept = "".join(sign if sign.isalnum() or sign in "+-_" else "_" for sign in name)
    return kept[:80] or "_"
