"""Progress of a run's measuring over all its tasks: lm-eval measures one after the other."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from ..core.progress import Stages


class Measured(Protocol):
    """A task whose texts are to be measured."""

    def work(self) -> Mapping[str, int]:
        """Stage of measuring -> texts (``measure.work``)."""
        ...

    @property
    def langs(self) -> Sequence[str]:
        """Of its prompts."""
        ...


@dataclass
class Measuring:
    """The tasks of a run."""

    tasks: list[Measured] = field(default_factory=list)
    stages: Stages | None = None

    def begun(self) -> Stages:
        """The progress of all tasks; asked for when their texts are there, by the first that is measured."""
        if self.stages is None:
            work: Counter[str] = Counter()
            for task in self.tasks:
                work.update(task.work())
            langs = Counter(lang for task in self.tasks for lang in task.langs)
            self.stages = Stages("measuring", work, langs, silent=os.environ.get("RANK", "0") != "0").__enter__()
        return self.stages

    def close(self, *, well: bool) -> None:
        if self.stages is not None:
            self.stages.close(well=well)


_CURRENT: ContextVar[Measuring | None] = ContextVar("measuring", default=None)


def current() -> Measuring | None:
    """Of the run that goes on; None outside of one."""
    return _CURRENT.get()


@contextmanager
def measuring() -> Iterator[None]:
    """A run whose tasks are measured within."""
    run = Measuring()
    token = _CURRENT.set(run)
    well = False
    try:
        yield
        well = True
    finally:
        run.close(well=well)
        _CURRENT.reset(token)
