"""Progress of a run's generation over all its tasks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType

from ..core.progress import Clock, Line


class Progress:
    """What of a run is generated: prompts, languages, samples a second, time left.

    Args:
        langs: ``[prompts]`` the languages that a prompt is asked for in; several tasks may share one.
        samples: ``[prompts]`` how many samples are wanted of each.
        done: places of prompts that an earlier run has finished.
        silent: show nothing.
        clock: in seconds.
    """

    def __init__(
        self,
        langs: Sequence[Iterable[str]],
        samples: Sequence[int],
        done: Iterable[int] = (),
        *,
        silent: bool = False,
        clock: Clock = time.perf_counter,
    ):
        self._langs, self._samples = [tuple(found) for found in langs], samples
        self._left = Counter(lang for found in self._langs for lang in found)
        self._languages = len(self._left)
        self._drawn = self._tokens = 0
        reused = self._take(done)
        self._drawn = 0
        self._line = Line(
            "generation", len(self._langs), "prompt", self.rates, initial=reused, silent=silent, clock=clock
        )

    def __enter__(self) -> Progress:
        self._line.write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close(well=kind is None)

    def batch(self, finished: Iterable[int], tokens: int) -> None:
        """A batch is done.

        Args:
            finished: places of the prompts that have all their samples now.
            tokens: that were generated.
        """
        self._tokens += tokens
        self._line.advance(self._take(finished))

    def _take(self, finished: Iterable[int]) -> int:
        """Count prompts as done, and say how many."""
        count = 0
        for count, place in enumerate(finished, start=1):  # noqa: B007
            self._drawn += self._samples[place]
            self._left.subtract(self._langs[place])
        return count

    def rates(self) -> str:
        """Languages that are done, samples and tokens a second."""
        parts = []
        if self._languages > 1:
            parts.append(f"{sum(left == 0 for left in self._left.values())}/{self._languages} languages")
        if (spent := self._line.seconds) > 0 and self._tokens > 0:
            parts += [f"{self._drawn / spent:,.1f} samples/s", f"{self._tokens / spent:,.0f} tokens/s"]
        return ", ".join(parts)

    def line(self) -> str:
        """See ``Line.text``."""
        return self._line.text()
