"""The checkpoint that vLLM loads: the base model's own, or the one that a method makes of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.folders import cache_folder
from ...core.registry import METHODS, PLUS
from ...methods import base
from ...methods.combining.arguments import of_part, prefixed
from ...methods.export import export, exportable
from ...methods.first_use import with_artifacts


@contextlib.contextmanager
def checkpoint(
    pretrained: str, method: str, arguments: Mapping[str, Any], *, revision: str | None, dtype: str
) -> Iterator[str]:
    """A folder, or the model's own name where no method changes its weights. A method's is removed afterwards, when
    vLLM has read it.

    Args:
        pretrained: folder, hub name or ``mini``.
        method: a registered method that ``arguments.check_method`` lets pass.
        arguments: its own, in the recorded spelling.
        revision: of a hub model.
        dtype: of the changed weights.
    """
    names = [name for name in method.split(PLUS) if METHODS[name].kind != "none" and exportable(name)]
    if not names:
        yield pretrained
        return
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vllm-", dir=root) as temporary:
        given = _of(names, method, arguments)
        yield str(
            export(pretrained, PLUS.join(names), Path(temporary) / "model", given, revision=revision, dtype=dtype)
        )


def selection(pretrained: str, method: str, arguments: Mapping[str, Any]) -> base.SelectionMethod | None:
    """What chooses among whole continuations; None where nothing does."""
    kind = METHODS[method]
    given = with_artifacts(method, arguments) if pretrained == MINI and kind.kind != "none" else arguments
    for cls, parsed in kind.applied(base.parse_arguments(method, kind, given)):
        if issubclass(cls, base.SelectionMethod):
            made: Any = cls
            return made(None, parsed)
    return None


def _of(names: list[str], method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Of a method's arguments those of some of its parts, as these are called alone."""
    if names == method.split(PLUS):
        return dict(arguments)
    if len(names) == 1:
        return of_part(names[0], arguments)
    return {prefixed(name, key): value for name in names for key, value in of_part(name, arguments).items()}
