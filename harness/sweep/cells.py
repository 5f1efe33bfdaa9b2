"""The cells of a sweep: every combination of what its file names, checked before anything runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError, unknown
from ...core.registry import METHODS
from ...methods.artifact_arguments import artifact_arguments, declared
from ...methods.base import parse_arguments
from ...tasks import catalog
from ...tasks.options import Options
from .spec import Fit, Method, Model, Sweep

FIT = "fit."


@dataclass(frozen=True)
class Cell:
    """One run of lm-eval.

    Args:
        model: what is loaded.
        method, arguments: of it; artifacts that the sweep makes are not among the arguments.
        fit: how they are made; None where there are none.
        tasks: names, as given.
        seed: of the sampling noise.
        shown: what a label says of the combination.
        name: of the method in labels.
    """

    model: Model
    method: str
    arguments: Mapping[str, Any]
    fit: Fit | None
    tasks: tuple[str, ...]
    seed: int
    shown: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def label(self) -> str:
        """For people, and as the beginning of its folder's name."""
        model = self.model.label or Path(self.model.name).name
        grid = [f"{name.removeprefix(FIT).removeprefix('options.')}={value}" for name, value in self.shown.items()]
        model += " chat" * self.model.chat
        return " ".join([model, self.name or self.method, *grid, "+".join(self.tasks), f"seed={self.seed}"])


def expand(sweep: Sweep) -> list[Cell]:
    """All combinations, in the order of the file.

    Raises:
        DetoxbenchError: for an unknown method or task, a wrong argument or option, or artifacts that nothing names.
    """
    for at, tasks in enumerate(sweep.tasks):
        _check_tasks(tasks, f"tasks.{at}")
    Options.from_metadata(metadata(sweep))
    found = []
    for model in sweep.models:
        for at, method in enumerate(sweep.methods):
            where = f"methods.{at}"
            if method.method not in METHODS:
                raise DetoxbenchError(f"{where}: {unknown('method', method.method, METHODS)}")
            for arguments, fit, shown in _combinations(method, where):
                _check(model, method.method, arguments, fit, where)
                for tasks, seed in itertools.product(sweep.tasks, sweep.seeds):
                    name = method.label or method.method
                    found.append(Cell(model, method.method, arguments, fit, tasks, seed, shown, name))
    return found


def metadata(sweep: Sweep) -> dict[str, Any]:
    """The options of the tasks."""
    given = {name: value for name, value in sweep.metadata.items() if value is not None}
    return given if sweep.samples is None else {**given, "samples": sweep.samples}


def _check_tasks(tasks: tuple[str, ...], where: str) -> None:
    known = catalog.names()
    for name in tasks:
        if name not in known:
            near = [other for other in known if other.split("_")[0] == name.split("_")[0]]
            raise DetoxbenchError(f"{where}: {unknown('task', name, near or known)}")


def _combinations(method: Method, where: str) -> Iterator[tuple[dict[str, Any], Fit | None, dict[str, Any]]]:
    """Arguments, fit and what varies, of every point of the grid."""
    for name in method.grid:
        if name in method.arguments and method.arguments[name] is not None:
            raise DetoxbenchError(f"{where}.grid.{name}: it is given twice, here and under arguments")
    for values in itertools.product(*method.grid.values()):
        point = dict(zip(method.grid, values, strict=True))
        given = {name: value for name, value in point.items() if not name.startswith(FIT)}
        arguments = {name: value for name, value in {**method.arguments, **given}.items() if value is not None}
        changes = {name.removeprefix(FIT): value for name, value in point.items() if name.startswith(FIT)}
        yield arguments, _changed(method.fit, changes, f"{where}.grid"), point


def _changed(fit: Fit | None, changes: Mapping[str, Any], where: str) -> Fit | None:
    if not changes:
        return fit
    if fit is None:
        raise DetoxbenchError(f"{where}.{FIT}{next(iter(changes))}: the method has no fit: to change")
    content = fit.model_dump(exclude_unset=True)
    for name, value in changes.items():
        key, _, option = name.partition(".")
        if key not in Fit.model_fields or (option and key != "options"):
            raise DetoxbenchError(f"{where}.{FIT}{name}: {unknown('key of fit', name, Fit.model_fields)}")
        if option:
            content["options"] = {**content.get("options", {}), option: value}
        else:
            content[key] = value
    try:
        return Fit(**content)
    except ValueError as error:
        text = str(error).splitlines()[2].strip() if len(str(error).splitlines()) > 2 else str(error)
        raise DetoxbenchError(f"{where}.{FIT}{next(iter(changes))}: {text}") from None


def _check(model: Model, method: str, arguments: Mapping[str, Any], fit: Fit | None, where: str) -> None:
    named = artifact_arguments(method)
    if fit is not None:
        made = declared(method).fit
        if made is None:
            raise DetoxbenchError(f"{where}.fit: method {method} has no artifacts to make")
        if fit.pairs and not made.pairs:
            raise DetoxbenchError(f"{where}.fit.pairs: {method} does not learn from pairs; give toxic or nontoxic")
        twice = [name for name in named if name in arguments]
        if twice:
            raise DetoxbenchError(f"{where}.arguments.{twice[0]}: it is made by fit:; give one of the two")
        if model.name != MINI and not (fit.toxic or fit.nontoxic or fit.pairs):
            raise DetoxbenchError(
                f"{where}.fit: name toxic or nontoxic texts, or pairs; only {MINI} has a corpus of its own"
            )
    elif named and model.name != MINI and not any(name in arguments for name in named):
        raise DetoxbenchError(
            f"{where}: {method} on {model.name} needs {' or '.join(named)} under arguments:, or texts under fit:"
        )
    try:
        parse_arguments(method, declared(method), arguments)
    except DetoxbenchError as error:
        raise DetoxbenchError(f"{where}: {error}") from None
