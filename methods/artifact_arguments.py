"""From a method's artifacts to the arguments that name them, and what a method's fit is with what it fixes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DetoxbenchError
from ..core.registry import METHODS
from .base import Method
from .declaration import Artifact, Fit, Use
from .settings import Aside


def declared(method: str) -> type[Method]:
    """A registered method's class."""
    return METHODS[method]


def artifact_arguments(method: str) -> tuple[str, ...]:
    """The arguments that name artifacts."""
    return tuple(dict.fromkeys(use.argument for use in declared(method).uses))


def fit_of(method: str) -> Fit:
    """How a method's artifacts are made.

    Raises:
        DetoxbenchError: where it has none.
    """
    found = declared(method).fit
    if found is None:
        raise DetoxbenchError(f"method {method} has no artifacts to make")
    return found


def fit_settings(method: str, *given: Mapping[str, Any], what: str = "setting") -> Any:
    """The settings of its fit; of several mappings the last one wins.

    Raises:
        DetoxbenchError: for a setting that the fit does not have, or that the method fixes.
    """
    fit, fixed = fit_of(method), declared(method).fit_settings
    for one in given:
        for name in one:
            if name in fixed and one[name] != fixed[name]:
                raise DetoxbenchError(f"{what} {name}={one[name]}: method {method} has {name}={fixed[name]}")
    return fit.parse(*given, fixed, what=what)


def study_settings(
    method: str, given: Mapping[str, Any], *, mini: bool, step: Mapping[str, Any] | None = None, what: str = "setting"
) -> Any:
    """The settings of a fit in a sweep or a continual study, where nobody looks at what it writes beside artifacts.

    Args:
        given: what the file says.
        mini: whether it is on the embedded model.
        step: of one step of a study, where they differ.
        what: a setting is called in messages.

    Raises:
        DetoxbenchError: see ``fit_settings``; or for a setting of the command alone.
    """
    fit = fit_of(method)
    for name, option in fit.settings.options().items():
        aside = option.marked(Aside)
        if name in given and aside is not None and aside.command:
            raise DetoxbenchError(f"{what} {name}: it belongs to the command 'detoxbench fit {method}' alone")
    suited = (fit.mini.settings, fit.mini.studies) if mini else ()
    return fit_settings(method, *suited, fit.unattended, step or {}, given, what=what)


def naming(method: str, folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that name what a fit made.

    Args:
        folder: the fit's output.
        given: the method's other arguments; some say which artifact is meant.
    """
    cls = declared(method)
    found: dict[str, Any] = {}
    for use in cls.uses:
        if all(given.get(name) == value for name, value in use.when.items()):
            value = _named(use, fit_of(method).artifact(use.artifact), folder)
            if value is not None:
                found[use.argument] = value
    return found


def as_fitted(method: str, folder: Path) -> dict[str, Any]:
    """The arguments with which a method uses what lies there, among them those that say which artifact is meant."""
    found: dict[str, Any] = {}
    for use in declared(method).uses:
        value = _named(use, fit_of(method).artifact(use.artifact), folder)
        if value is not None and use.argument not in found:
            found |= {use.argument: value, **{name: one for name, one in use.when.items() if one is not None}}
    return found


def _named(use: Use, artifact: Artifact, folder: Path) -> str | None:
    paths = artifact.paths(folder)
    if not paths:
        return None
    return str(paths[0].parent if use.many else paths[0])
