"""What a run takes, beforehand: from runs that are there, else from the model's size.

A run of the same model and method says it best; one of another method or model says how many operations a second this
machine gets, which the size and the method's passes turn into time.

A rough figure, to tell minutes from days and one GPU from four. A generated token reads every weight once for the whole
batch and costs two operations a parameter and sequence; scoring and the fluency model are counted as half as much
again, which is what they take on ``mini``.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import results
from ...core.constants import MAX_NEW_TOKENS, MINI, SAMPLES
from ...core.errors import DetoxbenchError
from ...core.local_names import named
from ...core.mini import model_folder
from ...core.parsing import parse_json
from ...methods.artifact_arguments import declared
from ...tasks import catalog
from ...tasks.options import Options
from ...tasks.prompts.base import PromptSelection
from .plan import RUN, Job

START = 12.0
"""Seconds of a process before its first token: imports."""
CPU_FLOPS, GPU_FLOPS, EFFICIENCY = 3e11, 3e14, 0.1
"""Operations a second of one core and of one data-centre GPU in 16 bits, and the share that sampling gets: of two cores
it was a fifth in float32, in bfloat16 (AMX) more than half."""
AROUND = 1.5
"""Whole run over generation."""
BASE = 1.2 * 2**30
"""Bytes of a process with torch, lm-eval and the embedded scorer."""
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*([bm])(?![a-z])", re.IGNORECASE)
KNOWN = {
    "gpt2": 124e6,
    "mgpt": 1417e6,
    "gpt2-medium": 355e6,
    "gpt2-large": 774e6,
    "gpt2-xl": 1558e6,
    "distilgpt2": 82e6,
}


@dataclass(frozen=True)
class Estimate:
    """Of one run.

    Args:
        prompts: None where a set does not say how many it has.
        seconds, memory: None where the model's size is not known; memory in bytes.
        source: ``measured``: runs of this model and method; ``others``: other runs' speed; ``size``: neither.
    """

    prompts: int | None
    seconds: float | None
    memory: float | None
    source: str


def estimates(jobs: Iterable[Job], done: Iterable[Path] = ()) -> dict[str, Estimate]:
    """Of every run among some jobs.

    Args:
        jobs: of a plan.
        done: folders of runs that are there, by which the others are judged.
    """
    rates = _rates(done)
    runs = [job for job in jobs if job.kind == RUN]
    speed = _speed(runs, rates)
    return {job.digest: _one(job, rates, speed) for job in runs}


def prompts(tasks: Iterable[str], metadata: Mapping[str, Any], limit: int | None) -> int | None:
    """How many prompts some tasks have, as their cards say; None where one does not."""
    total = 0
    for task, where in catalog.find(tasks).items():
        card = catalog.sets()[where.prompt_set].card
        sizes = card.prompts if card else {}
        own = metadata.get("prompts")
        copy = metadata.get("path")
        copy = copy.get(where.prompt_set) if isinstance(copy, Mapping) else copy
        names = (task, where.subset, metadata.get("subset"), where.lang, where.prompt_set)
        # A card lists the part that is used by default first.
        known = next((sizes[name] for name in names if name in sizes), next(iter(sizes.values()), None))
        # A copy that is not here yet is taken to be the whole set; of prompts of one's own nothing is known.
        count = _here(where, own or copy, metadata) or (None if own else known)
        if count is None:
            if limit is None:
                return None
            count = limit
        total += min(count, limit) if limit else count
    return total


def _here(where: PromptSelection, place: Any, metadata: Mapping[str, Any]) -> int | None:
    """Prompts of a file or folder on this machine; None of what is elsewhere, or cannot be read."""
    if not isinstance(place, str) or not Path(place).expanduser().exists():
        return None
    sets = catalog.sets()
    try:
        options = Options.from_metadata(metadata).for_set(where.prompt_set, sets)
        return len(sets[where.prompt_set].load(where, options).prompts)
    except DetoxbenchError:
        return None


def parameters(name: str) -> float | None:
    """Of a model, without loading it: from its files, else from its name (``Qwen2.5-7B``); None if neither says."""
    folder = Path(model_folder(name))
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if files:
        return float(sum(_count(path) for path in files))
    last = name.rstrip("/").rsplit("/", 1)[-1]
    if last.lower() in KNOWN:
        return KNOWN[last.lower()]
    match = _SIZE.search(last.replace("-", " ").replace("_", " "))
    return float(match[1]) * (1e9 if match[2].lower() == "b" else 1e6) if match else None


def _count(path: Path) -> int:
    """Numbers in a safetensors file, from its head."""
    with path.open("rb") as file:
        head = parse_json(file.read(int.from_bytes(file.read(8), "little")))
    total = 0
    for name, entry in head.items():
        if name != "__metadata__":
            size = 1
            for length in entry["shape"]:
                size *= length
            total += size
    return total


def _one(job: Job, rates: Mapping[tuple[str, str], float], speed: float | None) -> Estimate:
    content = job.content
    many = prompts(content["tasks"], content["metadata"], content["limit"])
    generations = None if many is None else many * int(content["metadata"].get("samples", SAMPLES))
    name, method = content["model_args"]["pretrained"], content["method"]
    size = parameters(name)
    wide = 2 if job.resources.gpus else 4
    memory = None if size is None else BASE + size * wide * declared(method).models * 1.2
    measured = rates.get((_label(name), method)) if rates else None
    if generations is None:
        return Estimate(None, None, memory, "")
    if measured is not None:
        return Estimate(many, START + generations * measured, memory, "measured")
    if size is None:
        return Estimate(many, None, memory, "")
    device = GPU_FLOPS * job.resources.gpus if job.resources.gpus else CPU_FLOPS * job.resources.cpus
    each = _operations(size, method) / (speed or device * EFFICIENCY)
    return Estimate(many, START + generations * each * AROUND, memory, "others" if speed else "size")


def _operations(size: float, method: str) -> float:
    """Of a generation."""
    return 2 * size * MAX_NEW_TOKENS * declared(method).forwards


def _label(name: str) -> str:
    """As results call a model."""
    return name if name == MINI else named(name)


def _speed(jobs: Iterable[Job], rates: Mapping[tuple[str, str], float]) -> float | None:
    """Operations a second: the median of the runs that are there; None where none is of these jobs' models."""
    found = []
    for name in {job.content["model_args"]["pretrained"] for job in jobs} if rates else ():
        size, label = parameters(name), _label(name)
        found += [_operations(size, method) * AROUND / each for (model, method), each in rates.items()
                  if size and model == label]  # fmt: skip
    return statistics.median(found) if found else None


def _rates(folders: Iterable[Path]) -> dict[tuple[str, str], float]:
    """Model and method -> seconds a generation, of runs that are there."""
    found: dict[tuple[str, str], list[float]] = {}
    for folder in folders:
        try:
            run = results.read(results.find(folder)[-1])
        except DetoxbenchError:
            continue
        generations = sum(task.prompts * task.record.samples for task in run.tasks.values())
        if run.model is None or not run.model.seconds or not generations:
            continue
        seconds = run.model.seconds + sum(sum(task.record.seconds.values()) for task in run.tasks.values())
        found.setdefault((run.model.pretrained, run.model.method), []).append(seconds / generations)
    return {key: statistics.median(values) for key, values in found.items()}
