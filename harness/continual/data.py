"""The texts of each step, brought into one form: ``OUT/data/VARIANT/STEP.SIDE.jsonl`` with ``text`` and ``lang``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.files import write_lines
from .spec import STEP, Source, Spec

SIDES = ("toxic", "nontoxic")


def methods(name: str) -> Any:
    """A module of the methods folder, by name: harness imports no other folder."""
    return importlib.import_module(f"detoxbench.methods.{name}")


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
        kind = methods("training.texts").Texts
        sources = {side: [str(one) for step in steps if (one := self._path(variant, step, side)).is_file()]
                   for side in SIDES}  # fmt: skip
        return {side: kind(files, side) for side, files in sources.items() if files}

    def _path(self, variant: str, step: str, side: str) -> Path:
        return self.folder / safe(variant) / f"{safe(step)}.{side}.jsonl"

    def _read(self, variant: str, step: str) -> dict[str, Any]:
        given = self.spec.data[variant]
        texts = methods("training.texts")
        found = {}
        for side in SIDES:
            path = self._path(variant, step, side)
            path.unlink(missing_ok=True)  # of another file by this name
            one = self._embedded(step, side) if given == MINI else self._given(given, step, side)
            if one is None:
                continue
            write_lines(path, ({"text": text.text, "lang": text.lang} for text in one))
            found[side] = texts.Texts([str(path)], side)
        return found

    def _embedded(self, step: str, side: str) -> Any:
        mini = methods("first_use")
        each = mini.STORE_SENTENCES if self.spec.method == "goodtriever" else mini.corpus.EXPANSIONS
        if step not in mini.corpus.languages():
            raise DetoxbenchError(
                f"orders: the embedded corpus has no '{step}'; it has {', '.join(mini.corpus.languages())}"
            )
        if side not in self._corpus:  # of all languages: expanding it takes seconds
            self._corpus[side] = mini._texts(self.folder / MINI, side, each)
        return methods("training.texts").Texts(self._corpus[side].sources, side, langs=(step,))

    def _given(self, given: Source | Mapping[str, Source] | Any, step: str, side: str) -> Any:
        source = given if isinstance(given, Source) else given[step]
        names = [name.replace(STEP, step) for name in getattr(source, side)]
        if not names:
            return None
        texts = methods("training.texts")
        return texts.Texts(
            [self._resolved(name) for name in names], side, texts.Columns(source.text, source.label, source.lang),
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
