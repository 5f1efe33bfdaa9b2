"""What a run under a method depends on: all its arguments, and the scorers that its artifacts learned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..core import data_overlap
from ..core.errors import DetoxbenchError
from ..core.folders import cache_folder
from ..core.registry import METHODS
from . import artifacts, base
from .first_use import is_mini, with_artifacts


def completed(model: PreTrainedModel, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a method; on the embedded model with what it lacks (see ``first_use``), fitted if need be."""
    return with_artifacts(method, arguments) if is_mini(model) else dict(arguments)


def effective(method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Every argument with the value in force, defaults included, as JSON can hold it. Fits that lie in the cache are
    named without it: their names hold a hash of all that they depend on, and the cache lies elsewhere elsewhere."""
    parsed = base.parse_arguments(method, METHODS[method], arguments)
    return {name: _plain(getattr(parsed, name), cache_folder()) for name in type(parsed).model_fields}


def nucleus(effective_arguments: Mapping[str, Any]) -> float | None:
    """Mass of the nucleus that a method cuts itself (``filter_p``), of a combination the one of its methods that does;
    None where none does."""
    given = (value for name, value in effective_arguments.items() if name.rpartition(".")[2] == "filter_p")
    return next((value for value in given if value is not None and 0.0 < value < 1.0), None)


def _plain(value: Any, cache: Path) -> Any:
    if isinstance(value, Path | str):
        path = Path(value)
        return str(path.relative_to(cache)) if path.is_relative_to(cache) else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one, cache) for one in value]
    return str(getattr(value, "path", None) or getattr(value, "name_or_path", None) or type(value).__name__)


def teachers(arguments: Mapping[str, Any]) -> list[str]:
    """Names of the scorers whose scores a method's artifacts were trained with, as their manifests say.

    Args:
        arguments: of the method; those that name a folder with a manifest of ours are looked into.
    """
    return sorted({
        trained["scorer"]
        for manifest in _manifests(arguments)
        for trained in (manifest.get("trained"), *(part.get("trained") for part in manifest.get("parts", ())))
        if trained and trained.get("scorer")
    })  # fmt: skip


def data(arguments: Mapping[str, Any]) -> list[str]:
    """Names of the data sets that a method's artifacts were fitted on, as their manifests say.

    Args:
        arguments: as in ``teachers``.
    """
    return sorted({name for manifest in _manifests(arguments) for name in data_overlap.sources(manifest)})


def _manifests(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for value in arguments.values():
        for one in value if isinstance(value, list | tuple) else [value]:
            folder = getattr(one, "path", one)
            if isinstance(folder, Path | str):
                try:
                    yield artifacts.read(Path(folder))
                except DetoxbenchError:
                    continue  # no artifact of ours; what is wrong with one, loading says
