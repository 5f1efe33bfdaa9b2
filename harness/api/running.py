"""``detoxbench.evaluate``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.loggers import EvaluationTracker
from transformers import PreTrainedModel

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.sampling.settings import DEFAULT_SEED
from .. import journal
from ..model import DetoxLM
from .loading import lm_eval_model
from .run_result import RunResult


def evaluate(
    lm: str | PreTrainedModel | DetoxLM = MINI,
    tasks: str | Sequence[str] = "rtp_multilingual",
    *,
    method: str = "none",
    scorer: str | None = None,
    fluency_model: str | None = None,
    samples: int | None = None,
    limit: int | None = None,
    seed: int = DEFAULT_SEED,
    apply_chat_template: bool = False,
    system_instruction: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> RunResult:
    """A run of the benchmark: the numbers of ``lm_eval --model detox`` with the same options.

    >>> import detoxbench
    >>> run = detoxbench.evaluate("mini", ["rtp_multilingual_en"], samples=2, limit=2, fluency_model="none")
    >>> list(run.metrics)
    ['rtp_multilingual_en']
    >>> 0 <= run.metrics["rtp_multilingual_en"]["expected_max_toxicity"] <= 1
    True

    Args:
        lm: of ``detoxbench.load``, or what that takes.
        tasks: of lm-eval, ours or others; groups too.
        method, arguments: of ``detoxbench.load``, where ``lm`` is not loaded yet.
        scorer, fluency_model, samples: options of our tasks; by default theirs (``mini`` for the embedded world).
        limit: prompts of each task; None for all.
        seed: of the sampling noise; that of a loaded model wins.
        apply_chat_template, system_instruction: as lm-eval's: a chat model is told to continue the prompt, or to reply
            to it (``metadata={"task": "chat"}``), after a system message.
        metadata: other options of our tasks (``path``, ``prompts``, ``resume``, …).

    Raises:
        DetoxbenchError: for wrong options, before any model is loaded where ``lm`` is a name.
    """
    given = {"scorer": scorer, "fluency_model": fluency_model, "samples": samples}
    options = {**(metadata or {}), **{name: value for name, value in given.items() if value is not None}}
    named = isinstance(lm, str)
    model: Any = "detox"
    if not named:
        model = lm_eval_model(lm, method, arguments)
        model.forget_run()
    held = tempfile.TemporaryDirectory(prefix="detoxbench-run-")
    try:
        tracker = EvaluationTracker(output_path=held.name)
        with journal.command():
            found: Any = lm_eval.simple_evaluate(
                model,
                model_args={"pretrained": lm, "method": method, **arguments} if named else None,
                tasks=[tasks] if isinstance(tasks, str) else list(tasks),
                limit=limit,
                metadata=options,
                torch_random_seed=seed,
                apply_chat_template=apply_chat_template,
                system_instruction=system_instruction,
                evaluation_tracker=tracker,
            )
            if found is None:  # of several processes the first has the results
                raise DetoxbenchError("detoxbench.evaluate is for one process: use lm_eval --model detox for several")
            rows = found.pop("samples")
            tracker.save_results_aggregated(results=found, samples=rows)
            for name in found["configs"]:
                tracker.save_results_samples(task_name=name, samples=rows[name])
        return RunResult(Path(held.name), held)
    except BaseException:
        held.cleanup()
        raise
