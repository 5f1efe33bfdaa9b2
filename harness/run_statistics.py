"""What is counted while a model serves a run, and recorded with its results."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch

from ..core.constants import MINI
from ..core.local_names import named
from ..core.records import ModelRun
from ..core.statistics import Interval
from ..core.versions import NUMERIC, VLLM, installed


@dataclass
class RunStatistics:
    """One run's; a model that serves several begins anew with each.

    Attributes:
        tokens: that were generated, those of an earlier run that this one goes on from included.
        seconds: that it took.
        drawn: settings that texts were drawn with, each once, in order.
        seed: of the first of them.
        cut: prompts that were cut on the left.
        cut_while_thinking: texts that ended within their thoughts.
        selection: what a selection method counts.
        cost: metric -> what the method costs.
    """

    tokens: int = 0
    seconds: float = 0.0
    drawn: list[dict[str, Any]] = field(default_factory=list)
    seed: int | None = None
    cut: set[str] = field(default_factory=set)
    cut_while_thinking: int = 0
    selection: Counter[str] = field(default_factory=Counter)
    cost: dict[str, Interval] = field(default_factory=dict)

    def draws(self, settings: dict[str, Any], seed: int) -> None:
        """Texts are drawn with these settings from now on."""
        self.seed = seed if self.seed is None else self.seed
        if settings not in self.drawn:
            self.drawn.append(settings)

    def record(self, name: str, device: torch.device, seed: int, **model: Any) -> ModelRun:
        """
        Args:
            name: of the model: folder, hub name or ``mini``.
            device: that it is on.
            seed: of a run that drew nothing.
            model: further fields; names of folders in them are replaced by name and content.
        """
        packages = (*NUMERIC, *(VLLM if model.get("backend") == "vllm" else ()))
        return ModelRun(
            pretrained=name if name == MINI else named(name),
            **{key: named(value) for key, value in model.items()},
            selection=dict(self.selection),
            cost={metric: (found.value, found.low, found.high) for metric, found in self.cost.items()},
            sampling=self.drawn[0] if self.drawn else {},
            other_sampling=self.drawn[1:],
            seed=seed if self.seed is None else self.seed,
            cut_prompts=len(self.cut),
            cut_while_thinking=self.cut_while_thinking,
            versions={"python": platform.python_version(), **installed(packages)},
            hardware=_hardware(device),
            seconds=round(self.seconds, 3),
            tokens=self.tokens,
            tokens_per_second=round(self.tokens / self.seconds, 1) if self.seconds else None,
        )


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.get_num_threads()} threads"
