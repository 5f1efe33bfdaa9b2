"""All of a continual study: the base model, then each order step by step, then everything at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import results
from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.files import fingerprint, sha256
from ...methods.artifact_arguments import declared
from ...methods.base import parse_arguments
from ...methods.training import work
from .data import Data, safe
from .evaluate import check_tasks, done, evaluate, load
from .measured import check_metrics
from .spec import BASE, STATIC, Spec
from .steps import Steps, model_record

KEEP = ("all", "last", "none")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """One model that is evaluated.

    Args:
        variant: of the data; empty for the base model.
        steps: added so far; empty for the base model.
        seed: of sampling and training.
        at_once: whether all steps were added in one.
        last: whether it ends its order.
    """

    variant: str
    steps: tuple[str, ...]
    seed: int
    at_once: bool = False
    last: bool = False

    def label(self) -> str:
        """For people and as the beginning of its folder's name."""
        what = f"{self.variant}-{STATIC if self.at_once else '+'.join(self.steps)}" if self.steps else BASE
        return f"{what}-seed{self.seed}"


def cells(spec: Spec) -> list[Cell]:
    """In the order in which they run; what two orders share is listed once."""
    found: dict[Cell, None] = {Cell("", (), seed): None for seed in spec.seeds}
    for variant in spec.data:
        for seed in spec.seeds:
            for order in spec.orders:
                for end in range(1, len(order) + 1):
                    found[Cell(variant, order[:end], seed, last=end == len(order))] = None
            if spec.static:
                for steps in statics(spec):
                    found[Cell(variant, steps, seed, at_once=True)] = None
    return list(found)


def statics(spec: Spec) -> list[tuple[str, ...]]:
    """The sets of steps that are also added at once, each as first ordered."""
    return list({frozenset(order): order for order in reversed(spec.orders)}.values())[::-1]


class Study:
    """A study in its folder.

    Args:
        spec: what is added and measured.
        out: its folder: ``data``, ``artifacts``, ``runs``, ``continual.json`` and the plots.
        root: what relative files of the spec are relative to.
        keep: the artifacts that stay: of ``all`` steps, of the ``last`` of each order, or ``none``.
        say: told what happens.

    Raises:
        DetoxbenchError: for anything that is wrong with spec, tasks or texts, before anything is fitted.
    """

    def __init__(self, spec: Spec, out: Path, *, root: Path = Path(), keep: str = "last", say: Say = lambda _: None):
        if keep not in KEEP:
            raise DetoxbenchError(f"--keep {keep}: allowed are {', '.join(KEEP)}")
        if out.exists() and not out.is_dir():
            raise DetoxbenchError(f"'{out}' is a file: give a folder with --out")
        self.spec, self.out, self.keep, self.say = spec, out, keep, say
        self.columns = {name: spec.column(name) for name in spec.column_names()}
        self.tasks = list(dict.fromkeys(column.task for column in self.columns.values()))
        check_tasks(self.tasks)
        check_metrics(spec)
        parse_arguments(spec.method, declared(spec.method), spec.arguments)
        self.metadata = {**spec.metadata, "samples": spec.samples}
        self.data = Data(spec, out / "data", root)
        self.steps = Steps(spec, self.data, out / "artifacts", keep == "all")

    def key(self, cell: Cell) -> dict[str, Any]:
        """All that a cell's numbers depend on."""
        made = self.steps.key(cell.variant, cell.steps, cell.seed, at_once=cell.at_once) if cell.steps else {}
        used = {"method": self.spec.method, "arguments": dict(self.spec.arguments)} if cell.steps else {}
        if cell.steps and self.spec.growth().kind == "vectors":
            used["combine"] = self.spec.combine
        return {
            **used, "made": made or {"model": model_record(self.spec), "versions": work.versions()},
            "tasks": self.tasks, "metadata": {name: _content(value) for name, value in self.metadata.items()},
            "limit": self.spec.limit, "seed": cell.seed,
        }  # fmt: skip

    def folder(self, cell: Cell) -> Path:
        """Of the cell's results, as lm-eval writes them."""
        return self.out / "runs" / f"{safe(cell.label())}-{fingerprint(self.key(cell))[:12]}"

    def done(self, cell: Cell) -> bool:
        """Whether the cell's results are there, made from the same content."""
        return done(self.folder(cell), self.key(cell))

    def run(self) -> dict[Cell, results.Run]:
        """Do what is missing; a study that was killed goes on where it was."""
        todo = cells(self.spec)
        with work.locked(self.out):
            for number, cell in enumerate(todo, start=1):
                place = f"[{number}/{len(todo)}] {cell.label()}"
                if self.done(cell):
                    self.say(f"{place}: done before")
                else:
                    self.say(f"{place}: {'fitting and evaluating' if cell.steps else 'evaluating'}")
                    self._one(cell)
            if self.keep == "none":
                shutil.rmtree(self.out / "artifacts", ignore_errors=True)
        return {cell: load(self.folder(cell)) for cell in todo}

    def _one(self, cell: Cell) -> None:
        spec = self.spec
        arguments: dict[str, Any] = {}
        if cell.steps:
            built = self.steps.build(cell.variant, cell.steps, cell.seed, at_once=cell.at_once)
            arguments = {"method": spec.method, **built}
        if spec.model == MINI:
            arguments.setdefault("device", spec.model_args.get("device", "cpu"))
        evaluate(
            self.folder(cell), self.key(cell), {"pretrained": spec.model, **spec.model_args, **arguments}, self.tasks,
            metadata=self.metadata, limit=spec.limit, seed=cell.seed,
        )  # fmt: skip
        self._drop(cell)

    def _drop(self, cell: Cell) -> None:
        """Artifacts that no later step of this order needs; an order that begins alike makes them again if it must."""
        if self.keep == "all" or not cell.steps:
            return
        mine = self.steps.folders(cell.variant, cell.steps, cell.seed, at_once=cell.at_once)
        if self.keep == "none" and (cell.at_once or cell.last):
            unneeded = mine
        elif cell.at_once or len(cell.steps) == 1:
            return
        else:
            unneeded = [
                path for path in self.steps.folders(cell.variant, cell.steps[:-1], cell.seed) if path not in mine
            ]
        for path in unneeded:
            shutil.rmtree(path, ignore_errors=True)


def _content(value: Any) -> Any:
    """A file by its sha256, so that another file of that name is other content."""
    if isinstance(value, str) and value and len(value) < 4096 and Path(value).is_file():
        return {"sha256": sha256(Path(value))}
    return value
