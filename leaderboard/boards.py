"""The board of a run or of its record: what it may be compared with (``core/comparability.py``)."""

from __future__ import annotations

from ..core import comparability
from ..core.comparability import Board, Measurement, board, comparable, differences, measurement_of
from ..core.results import Run
from .submissions import RunRecord

__all__ = ["Board", "Measurement", "board", "board_of", "comparable", "differences", "measurement_of"]


def board_of(run: Run | RunRecord) -> Board:
    """The board of a run, read from lm-eval's files or from a records folder."""
    if isinstance(run, RunRecord):
        return board([(task.name, task.run) for task in run.tasks], run.model)
    return comparability.board_of(run)
