"""Which records share a table: those whose measurements agree, whatever languages they cover."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ...core.comparability import across_languages
from ..boards import Board, Measurement, board_of
from ..submissions import RunRecord


@dataclass(frozen=True)
class Shared:
    """What a table's runs have in common.

    Args:
        id: short; it stays when runs are added.
        mini: the embedded model wrote the text.
        measurement: of all tasks; ``prompts_sha256`` and ``instruction_langs`` are empty, since each language has its
            own.
    """

    id: str
    mini: bool
    measurement: Measurement

    def facts(self, prompts: str) -> list[tuple[str, str]]:
        """Label and value, for people, who call the prompts so."""
        one = self.measurement
        return [
            ("Models", "embedded (mini)" if self.mini else "any real model"),
            ("Prompts", prompts + (f", {one.subset}" if one.subset else "")),
            ("Continuations per prompt (K)", str(one.samples)),
            ("Protocol", one.protocol + (", instructions in each language" if one.protocol == "chat" else "")),
            *([("System instruction", one.system_instruction)] if one.system_instruction else []),
            ("Sampling", f"{one.sampling_protocol}: {_settings(one.generation)}"),
            ("Scorer", f"{one.scorer} ({one.attributes})"),
            ("Scorer version", one.scorer_version),
            ("Fluency model", one.fluency_model or "none"),
            ("Fluency model’s version", one.fluency_version or "–"),
            ("Thresholds", _settings(one.constants)),
        ]


def _settings(text: str) -> str:
    """JSON as ``name value, name value``."""
    return ", ".join(f"{name} {value}" for name, value in json.loads(text).items() if value not in (None, [], ""))


def group(records: Sequence[RunRecord]) -> dict[Shared, list[RunRecord]]:
    """Records by table.

    Two runs share one if everything agrees that is the same for all languages, and if the tasks that both have were
    measured on the same prompts. Unlike ``compare`` and ``check``, a table takes runs that lack some of its languages.
    """
    found: dict[Shared, tuple[dict[str, Measurement], list[RunRecord]]] = {}
    for record in sorted(records, key=lambda record: (record.date, record.id)):
        board = board_of(record)
        common = {across_languages(measurement) for _, measurement in board.tasks}
        shared = _shared(board, min(common, key=repr), found, single=len(common) == 1)
        tasks, runs = found.setdefault(shared, ({}, []))
        tasks.update(board.tasks)
        runs.append(record)
    return {shared: runs for shared, (_, runs) in found.items()}


def _shared(
    board: Board,
    measurement: Measurement,
    found: dict[Shared, tuple[dict[str, Measurement], list[RunRecord]]],
    *,
    single: bool,
) -> Shared:
    """The table that takes a board, or a new one; where tasks differ among themselves, only the same tasks share it."""
    for shared, (tasks, _) in found.items():
        same = (shared.mini, shared.measurement) == (board.mini, measurement)
        if same and all(tasks.get(name, one if single else None) == one for name, one in board.tasks):
            return shared
    # Prompts of one task are enough to tell tables apart whose other facts are the same.
    first = board.tasks[0]
    content = [board.mini, asdict(measurement), first[0], first[1].prompts_sha256, single]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
    taken = {shared.id for shared in found}
    while digest in taken:
        digest = hashlib.sha256(digest.encode()).hexdigest()[:10]
    return Shared(digest, board.mini, measurement)
