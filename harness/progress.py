"""Progress of a run over all its tasks: a bar on a terminal, a line a minute anywhere else."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from tqdm import tqdm

EVERY = 60.0
"""Seconds between two lines."""


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
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._langs, self._samples, self._clock = [tuple(found) for found in langs], samples, clock
        self._left = Counter(lang for found in self._langs for lang in found)
        self._languages = len(self._left)
        self._finished = self._drawn = self._tokens = 0
        for place in done:
            self._take(place)
        self._reused, self._drawn = self._finished, 0
        self._start = self._last = clock()
        self._silent = silent
        self._bar: tqdm | None = None
        if not silent and sys.stderr.isatty():
            self._bar = tqdm(total=len(self._langs), initial=self._finished, desc="generation", unit="prompt")

    def __enter__(self) -> Progress:
        self._line()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            self._line()

    def batch(self, finished: Iterable[int], tokens: int) -> None:
        """A batch is done.

        Args:
            finished: places of the prompts that have all their samples now.
            tokens: that were generated.
        """
        before = self._finished
        for place in finished:
            self._take(place)
        self._tokens += tokens
        if self._bar is not None:
            self._bar.set_postfix_str(self.rates(), refresh=False)
            self._bar.update(self._finished - before)
        elif self._clock() - self._last >= EVERY:
            self._line()

    def _take(self, place: int) -> None:
        self._finished += 1
        self._drawn += self._samples[place]
        for lang in self._langs[place]:
            self._left[lang] -= 1

    def rates(self) -> str:
        """Languages that are done, samples and tokens a second."""
        spent = self._clock() - self._start
        parts = []
        if self._languages > 1:
            parts.append(f"{sum(left == 0 for left in self._left.values())}/{self._languages} languages")
        if spent > 0 and self._tokens > 0:
            parts += [f"{self._drawn / spent:,.1f} samples/s", f"{self._tokens / spent:,.0f} tokens/s"]
        return ", ".join(parts)

    def line(self) -> str:
        """As tqdm writes it, so that whoever reads a log for progress finds it: share, prompts, time spent and left."""
        return tqdm.format_meter(
            self._finished,
            len(self._langs),
            self._clock() - self._start,
            prefix="generation",
            unit="prompt",
            postfix=self.rates(),
            initial=self._reused,
        )

    def _line(self) -> None:
        if not self._silent and self._bar is None:
            self._last = self._clock()
            sys.stderr.write(f"{self.line()}\n")
            sys.stderr.flush()
