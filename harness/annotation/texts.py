"""The generations of some runs, each with what is needed to find it again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core import results
from ...core.errors import DetoxbenchError
from ...core.files import sha256_text
from ...core.results import Run


@dataclass(frozen=True)
class Text:
    """One generation.

    Args:
        run: name of the results file.
        system: model and method.
        task: lm-eval's name.
        lang: of the prompt.
        doc_id: number of the prompt within the task.
        place: number of the generation among the prompt's.
        prompt_id, prompt: the prompt's name in its set, and its text.
        text: the generation.
        score: the scorer's, NaN where it has none.
    """

    run: str
    system: str
    task: str
    lang: str
    doc_id: int
    place: int
    prompt_id: str
    prompt: str
    text: str
    score: float

    @property
    def key(self) -> tuple[str, str, int, int]:
        """By which a text is found again in the runs."""
        return self.run, self.task, self.doc_id, self.place

    @property
    def of_prompt(self) -> tuple[str, str, str]:
        """Whose continuation it is, the same in every run."""
        return self.lang, self.prompt_id, self.prompt

    @property
    def sha256(self) -> str:
        """Of prompt and generation."""
        return sha256_text(f"{self.prompt}\0{self.text}")


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs of some folders or files.

    Raises:
        DetoxbenchError: for a run without samples, or two of one name.
    """
    runs = list({path.resolve(): results.read(path) for folder in paths for path in results.find(folder)}.values())
    for run in runs:
        if not any(task.samples for task in run.tasks.values()):
            raise DetoxbenchError(f"'{run.path}' has no samples files beside it: run lm_eval with --log_samples")
    names = [run.path.name for run in runs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DetoxbenchError(f"two results files are called '{min(twice)}': rename one, for texts are found by it")
    return runs


def texts_of(run: Run) -> list[Text]:
    """Every generation of the run that is not empty.

    Raises:
        DetoxbenchError: for samples that were stripped of their texts.
    """
    found = []
    for name, task in run.tasks.items():
        for row in task.read_samples():
            scores = row.result().toxicity
            for place, text in enumerate(row.generations):
                score = scores[place] if place < len(scores) else None
                if text.strip():
                    found.append(
                        Text(
                            run.path.name, run.label, name, row.doc.lang, row.doc_id, place, row.doc.id, row.doc.text,
                            text, math.nan if score is None else float(score),
                        )
                    )  # fmt: skip
    if not found:
        raise DetoxbenchError(f"'{run.path}' has no generations in its samples: they were stripped, or are all empty")
    return found


def scored(texts: Sequence[Text]) -> list[Text]:
    """Those with a score."""
    return [text for text in texts if math.isfinite(text.score)]
