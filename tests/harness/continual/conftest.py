"""A small study on the embedded model, run once: three languages, four prompts each, Goodtriever."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from small_study import SMALL

from detoxbench.core import continual_file
from detoxbench.harness.continual import report, spec
from detoxbench.harness.continual.run import Cell, Study, cells


@dataclass
class Ran:
    """The study, what it wrote, and what it said."""

    study: Study
    content: dict[str, Any]
    said: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    interrupted: str = ""

    def cells(self) -> list[Cell]:
        return cells(self.study.spec)


@pytest.fixture(scope="session")
def ran(tmp_path_factory) -> Ran:
    """Stopped while the second step's datastores had been copied, before they had grown, and run again."""
    folder = tmp_path_factory.mktemp("continual") / "study"
    given = spec.parse(SMALL)
    said: list[str] = []

    class Stopped(BaseException):
        """As from the keyboard."""

    def study(keep: str = "all") -> Study:
        return Study(given, folder, keep=keep, say=said.append)

    replace, seen = os.replace, []

    def stopping(source, target, *more, **kwargs):
        if Path(target).name.startswith("embedded-en+it-") and Path(source).is_dir():
            seen.append(Path(target))
            raise Stopped
        return replace(source, target, *more, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", stopping)
        with pytest.raises(Stopped):
            study().run()
    interrupted = seen[0]
    assert not interrupted.exists()
    again = study()
    runs = again.run()
    content = report.summarize(again, runs)
    continual_file.write(folder / continual_file.NAME, content)
    left = sorted(path.name for path in (folder / "artifacts").iterdir())
    return Ran(again, content, said, left, interrupted.name)
