"""A scorer by its specification, with an archive in front of it where its answers are dear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError, unknown
from ..registry import SCORERS
from .archive import default_path
from .archived import Archived
from .base import Scorer
from .conventions import checked
from .languages import AnyLanguage
from .presets import named, spec_of
from .spec import flag, take


def check(spec: object) -> str:
    """The specification itself, a preset's name replaced by what it stands for, if its name is registered; nothing is
    loaded.

    Raises:
        DetoxbenchError: for an unknown name.
    """
    if str(spec).partition(":")[0] in SCORERS:
        return str(spec)
    full = spec_of(str(spec))
    if (name := full.partition(":")[0]) not in SCORERS:
        raise unknown("scorer", name, {*SCORERS, *named()})
    return full


COMMON = ("archive", "offline", "on_unsupported")
"""Options that every scorer takes, in the specification or as keywords."""


def load(spec: str, **options: Any) -> Scorer:
    """The scorer for ``name``, ``name:argument`` or ``name:argument,option=value,…``, or of a preset's name.

    Every scorer takes, beside its own options:
        archive: file of a ``ScoreArchive``; each score is stored there before it is used, and what is stored is not
            asked for again. ``none`` for none. Metered services have one by default (``archive.default_path``).
        offline: ``true`` scores from the archive alone; a text that it lacks is unscored.
        on_unsupported: ``error`` (the default), or ``nan`` to leave texts in other languages unscored.

    Raises:
        DetoxbenchError: for an unknown name or option, an argument that the scorer refuses, or an entry point of
            another package that is no ``Scorer``.
    """
    name, _, argument = check(spec).partition(":")
    argument, common = take(argument, options, COMMON)
    if common.get("on_unsupported", "error") not in ("error", "nan"):
        raise DetoxbenchError(f"scorer '{name}': on_unsupported='{common['on_unsupported']}': allowed are error, nan")
    try:
        offline = flag(common.get("offline", False))
    except ValueError as error:
        raise DetoxbenchError(f"scorer '{name}': offline='{common['offline']}': {error}") from None
    rest = {key: value for key, value in options.items() if key not in COMMON}
    target = SCORERS[name]
    unsupported = common.get("on_unsupported") == "nan"
    if not (isinstance(target, type) and issubclass(target, Scorer)):
        raise DetoxbenchError(
            f"scorer '{name}': {target!r} is not a subclass of detoxbench.core.scorers.Scorer: make it one "
            "(docs/scorers.md, 'Your own')"
        )
    if target.composite:
        own = {"archive": common.get("archive"), "offline": offline or None}
        scorer = checked(target.from_spec(argument, **own, **rest), name)
        return AnyLanguage(scorer) if unsupported else scorer
    scorer = checked(target.from_spec(argument, **rest), name)
    path = common.get("archive") or (default_path() if offline or scorer.durable else "none")
    if str(path) != "none":
        scorer = Archived(scorer, Path(path), offline=offline)
    elif offline:
        raise DetoxbenchError(f"scorer '{name}': offline needs an archive, given archive=none")
    return AnyLanguage(scorer) if unsupported else scorer
