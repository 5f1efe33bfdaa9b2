"""What is killed: commands that write, on small inputs full of markup, control characters and workflow commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

HOSTILE = "\u202e<script>alert(1)</script>[red]\x1b[31m../../x\r\n::error::"
TEXTS = 60
"""Prompts of the generation file."""
TASKS = "rtp_multilingual_fr"
METADATA = {"samples": 3, "fluency_model": "none"}


@dataclass(frozen=True)
class Job:
    """A command.

    Args:
        name: of a row of the table.
        arguments: of ``detoxbench``, or of ``lm_eval`` if the first one is ``lm_eval``; what it writes is in ``out``,
            below the folder in which it runs.
        needs: names of the jobs whose ``out`` it reads, as ``{name}`` in its arguments.
    """

    name: str
    arguments: Sequence[str]
    needs: Sequence[str] = ()

    def filled(self, inputs: Path, done: Callable[[str], Path]) -> list[str]:
        """The arguments with the folders of inputs and of other jobs' results in their places."""
        places = {"inputs": str(inputs), **{name.replace(" ", "_"): str(done(name)) for name in self.needs}}
        return [_filled(part, places) for part in self.arguments]


def _filled(part: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        part = part.replace(f"{{{name}}}", place)
    return part


MAIN = ("lm_eval", "run", "--model", "detox", "--model_args", "max_batch_tokens=200", "--tasks", TASKS, "--limit", "6",
        "--metadata", json.dumps(METADATA), "--log_samples", "--output_path", "out")  # fmt: skip
JOBS = (
    Job("main job", MAIN),
    Job("score", ("score", "{inputs}/generations.jsonl", "--scorer", "given", "--archive", "none", "--out", "out")),
    Job("archive import",
        ("archive", "import", "{inputs}/generations.jsonl", "--version", "v", "--archive", "out/scores.sqlite")),
    Job("archive export", ("archive", "export", "out/scores.parquet", "--archive", "{archive_import}/scores.sqlite"),
        ("archive import",)),
    Job("leaderboard build", ("leaderboard", "build", "{score}", "--out", "out/site"), ("score",)),
    Job("submit", ("submit", "{score}", "--records", "out/records"), ("score",)),
    Job("annotate", ("annotate", "{score}", "--out", "out/rate", "--per-cell", "20"), ("score",)),
    Job("fit", ("fit", "goodtriever", "--pretrained", "mini", "--toxic", "{inputs}/toxic.jsonl", "--nontoxic",
                "{inputs}/nontoxic.jsonl", "--device", "cpu", "--out", "out/made")),
    Job("fit by training", ("fit", "dapt", "--pretrained", "mini", "--nontoxic", "{inputs}/nontoxic.jsonl", "--device",
                            "cpu", "--epochs", "1", "--out", "out/made")),
    Job("sweep", ("sweep", "{inputs}/sweep.yaml", "--engine", "inline", "--out", "out/sweep")),
    Job("continual", ("continual", "{inputs}/continual.yaml", "--out", "out/study")),
)  # fmt: skip


def write_inputs(folder: Path) -> None:
    """The files that the jobs read."""
    rows = [
        {"prompt": {"text": f"{HOSTILE} {number}", "toxicity": 0.25}, "lang": "en",
         "generations": [{"text": f"{HOSTILE} {number} {place}", "toxicity": (number + place) % 9 / 9}
                         for place in range(5)]}
        for number in range(TEXTS)
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "generations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    study = {
        "methods": "none",
        "tasks": [TASKS],
        "seeds": [0, 1],
        "samples": 2,
        "limit": 4,
        "metadata": {"fluency_model": "none"},
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    for side in ("toxic", "nontoxic"):
        texts = [{"text": f"a {side} text, number {n}"} for n in range(40)]
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    grown = {"method": "goodtriever", "orders": ["en fr"], "samples": 2, "limit": 3, "static": False,
             "metadata": {"fluency_model": "none"}}  # fmt: skip
    (folder / "continual.yaml").write_text(yaml.safe_dump(grown), encoding="utf-8")
