"""How many prompts a study needs: from runs of a few, what more would show.

An interval's width, and the difference that a paired test finds with 80% power, fall with the square root of the number
of prompts. So a base run and one or two methods on a few prompts say how many make the figures worth reading, and what
they cost.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detoxbench.core.results import Run
from detoxbench.leaderboard.compare import compare

METRIC = "expected_max_toxicity"
COUNTS = (16, 32, 64, 128, 256, 512)
WORTH = 0.1
"""Half an interval, and a difference, that tell methods from each other and not only from none."""


@dataclass(frozen=True)
class Pilot:
    """What the runs at hand show.

    Args:
        prompts: of each run.
        half: half of the 95% interval of the base's expected maximum toxicity.
        detectable: of each method the paired difference that so many prompts find with 80% power.
        seconds: of each run, generation and scoring, a prompt.
    """

    prompts: int
    half: float
    detectable: tuple[float, ...]
    seconds: tuple[float, ...]

    def at(self, prompts: int) -> tuple[float, float, float]:
        """Half an interval, a difference that is found (the median over methods), and seconds a run of so many."""
        share = math.sqrt(self.prompts / prompts)
        found = statistics.median(self.detectable) if self.detectable else math.nan
        return self.half * share, found * share, statistics.median(self.seconds) * prompts

    def needed(self, worth: float = WORTH) -> int:
        """The least prompts at which both are no larger than ``worth``."""
        widest = max(self.half, statistics.median(self.detectable) if self.detectable else 0.0)
        return math.ceil(self.prompts * (widest / worth) ** 2)

    def lines(self) -> Iterator[str]:
        """A table, as Markdown."""
        yield f"{len(self.seconds)} runs of {self.prompts} prompts"
        yield ""
        yield "| prompts | half an interval | found with 80% power | a run |"
        yield "| ---: | ---: | ---: | ---: |"
        for prompts in COUNTS:
            half, found, seconds = self.at(prompts)
            shown = f"{found:.3f}" if math.isfinite(found) else "–"
            yield f"| {prompts} | {half:.3f} | {shown} | {seconds / 60:.1f} min |"
        yield ""
        yield f"both at most {WORTH:g}: {self.needed()} prompts"


def pilot(base: Run, others: Sequence[Run]) -> Pilot:
    """From a run without a method and runs with one, of the same prompts, all languages taken together.

    Args:
        base: without a method.
        others: with one each.
    """
    estimates = [task.estimates()[METRIC] for task in base.tasks.values()]
    # Of a mean over languages, whose prompts are drawn apart.
    half = math.sqrt(sum(((high - low) / 2) ** 2 for _, low, high in estimates)) / len(estimates)
    found = [compare(base, other, [METRIC]).changes[-1].minimum_detectable for other in others]
    prompts = sum(task.prompts for task in base.tasks.values())
    seconds = []
    for run in (base, *others):
        made = run.model.seconds if run.model is not None and run.model.seconds else 0.0
        seconds.append((made + sum(sum(task.record.seconds.values()) for task in run.tasks.values())) / prompts)
    return Pilot(prompts, half, tuple(one for one in found if one is not None), tuple(seconds))
