"""The sets by name, and any file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...core.errors import DetoxbenchError, unknown
from ...core.validity.labelled import LabelledText
from . import comments, english, file, hatecheck, rtp_lx, textdetox
from .base import LabelSet, Request

SETS: dict[str, LabelSet] = {
    one.name: one
    for one in (
        rtp_lx.SET, hatecheck.SET, textdetox.SET, comments.CIVIL, comments.JIGSAW, english.PARADETOX, english.DAVIDSON,
        file.SET,
    )
}  # fmt: skip


def parse(spec: str) -> tuple[str, Path | None]:
    """``NAME``, ``NAME=PATH`` for a copy of a set, or a path."""
    name, equals, path = spec.partition("=")
    return (name, Path(path).expanduser()) if equals and name in SETS else (spec, None)


def load(name: str, request: Request) -> tuple[LabelSet, list[LabelledText], str | None]:
    """The set of that name, or ``file`` for a path, its texts, and the hub's commit.

    Raises:
        DetoxbenchError: for an unknown set, a wrong file, or where no text is left.
    """
    if name not in SETS and Path(name).expanduser().exists():
        name, request = file.SET.name, replace(request, path=Path(name).expanduser())
    if name not in SETS:
        raise unknown("label set", name, SETS, "Or give the path of a file with text and label columns.")
    chosen = SETS[name]
    texts, revision = chosen.read(chosen, request)
    if not texts:
        wanted = f" in {', '.join(request.langs)}" if request.langs else ""
        raise DetoxbenchError(f"labels '{name}': no labelled text{wanted}")
    return chosen, texts, revision
