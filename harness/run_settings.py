"""What a run of lm-eval asks for, known before any model is loaded; the model reads it here, not from torch's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ..core.sampling.settings import DEFAULT_SEED, NAMES, Sampling, resolve, whole


@dataclass(frozen=True)
class RunSettings:
    """Of one call of ``simple_evaluate``.

    Args:
        seed: lm-eval's ``--seed`` for torch; 1234, lm-eval's default, where there is none.
        sampling: what the tasks of ours ask for, each once.
        cost: whether the model measures what its method costs.
    """

    seed: int = DEFAULT_SEED
    sampling: tuple[Sampling, ...] = ()
    cost: bool = False


NO_RUN = RunSettings()
"""In force where a model is used without ``simple_evaluate``."""
RUN: ContextVar[RunSettings] = ContextVar("run", default=NO_RUN)


def of_run(
    seed: Any, settings: Sequence[Mapping[str, Any]], changes: Mapping[str, Any], model_args: Mapping[str, Any]
) -> RunSettings:
    """The settings of a run, resolved; a pure function.

    Args:
        seed: lm-eval's; None for none.
        settings: generation settings of each task of ours.
        changes: ``--gen_kwargs``, which win over a task's.
        model_args: the model's; its own seed wins over the run's.

    Raises:
        DetoxbenchError: for a wrong setting.
    """
    seed = DEFAULT_SEED if seed is None else whole("--seed", seed)
    given = model_args.get("seed")
    own = seed if given is None else whole("seed", given)
    merged = [{name: value for name, value in {**one, **changes}.items() if name in NAMES} for one in settings]
    return RunSettings(seed, tuple(dict.fromkeys(resolve(one, seed=own) for one in merged)))
