"""Generated texts on disk before they are measured: what a scorer or a fluency model fails at is not lost.

lm-eval generates for all tasks of a run first and measures them afterwards. The first task to be measured writes the
texts of all of them, in the published systems' format; they are removed when the run has its results. After a failure
``detoxbench score FILES --scorer … --out FOLDER`` goes on from there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from ..core.errors import DetoxbenchError
from ..core.files import WriteError, safe_name, write_lines

logger = logging.getLogger(__name__)


class Pending(Protocol):
    """A task whose texts are generated and not yet measured."""

    @property
    def name(self) -> str:
        """lm-eval's."""
        ...

    def texts(self) -> Iterator[tuple[Mapping[str, Any], Sequence[str]]]:
        """Each document with its K texts; none before they are generated."""
        ...


@dataclass
class Journal:
    """The unmeasured texts of one run.

    Args:
        folder: of the files; made with the first.
    """

    folder: Path
    pending: list[Pending] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)

    def write(self) -> None:
        """Write what is pending; a folder that cannot be written to is a warning, for measuring may well succeed."""
        stamp = f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S.%f}"
        # One file a process: each has its own share of the prompts.
        rank = f"_{os.environ['RANK']}" if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ else ""
        while self.pending:
            task = self.pending.pop(0)
            path = self.folder / f"generations_{safe_name(task.name)}_{stamp}{rank}.jsonl"
            rows = [_row(doc, texts) for doc, texts in task.texts() if texts]
            if not rows:
                continue
            try:
                write_lines(path, rows)
                self.written.append(path)
            except WriteError as error:
                logger.warning(f"{task.name}: the generations are kept in memory only until they are measured: {error}")

    def discard(self) -> None:
        """Remove what was written."""
        for path in self.written:
            path.unlink(missing_ok=True)


def _row(doc: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    prompt = {"text": doc["text"], **({} if doc.get("toxicity") is None else {"toxicity": doc["toxicity"]})}
    return {"id": doc["id"], "lang": doc["lang"], "prompt": prompt, "generations": [{"text": text} for text in texts]}


_CURRENT: ContextVar[Journal | None] = ContextVar("journal", default=None)


def current() -> Journal | None:
    """The journal of the run that goes on; None outside of one."""
    return _CURRENT.get()


@contextmanager
def keeping(folder: Path) -> Iterator[Journal]:
    """A run whose texts are kept in ``folder`` until it has ended well.

    Raises:
        DetoxbenchError: in place of the run's own, with where the texts are; other errors pass, after a line in the
            log.
    """
    journal = Journal(folder)
    token = _CURRENT.set(journal)
    try:
        yield journal
    except BaseException as error:
        if journal.written:
            files = " ".join(f"'{path}'" for path in journal.written)
            hint = f"the generations are kept: detoxbench score {files} --scorer … --out …"
            if isinstance(error, DetoxbenchError):
                raise DetoxbenchError(f"{error} ({hint})") from error
            logger.error(hint)
        raise
    else:
        journal.discard()
    finally:
        _CURRENT.reset(token)
