"""Progress of long work: a bar on a terminal, a line a minute anywhere else."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType

from tqdm import tqdm

EVERY = 60.0
"""Seconds between two lines."""
Clock = Callable[[], float]


class Line:
    """How much of some work is done.

    Args:
        name: of the work.
        total: of its units.
        unit: what one is called.
        rates: what is said beside, asked for whenever something is shown.
        initial: units that were done before.
        silent: show nothing.
        clock: in seconds.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        rates: Callable[[], str],
        *,
        initial: int = 0,
        silent: bool = False,
        clock: Clock = time.perf_counter,
    ):
        self.name, self.total, self.unit, self.done, self._initial = name, total, unit, initial, initial
        self._rates, self._silent, self._clock = rates, silent, clock
        self._start = self._last = clock()
        self._bar: tqdm | None = None
        if not silent and sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=initial, desc=name, unit=unit)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._start

    def advance(self, count: int) -> None:
        """So many units more are done."""
        self.done += count
        if self._bar is not None:
            self._bar.set_postfix_str(self._rates(), refresh=False)
            self._bar.update(count)
        elif self._clock() - self._last >= EVERY:
            self.write()

    def text(self) -> str:
        """As tqdm writes it, so that whoever reads a log for progress finds it: share, units, time spent and left."""
        return tqdm.format_meter(
            self.done, self.total, self.seconds, prefix=self.name, unit=self.unit, postfix=self._rates(),
            initial=self._initial,
        )  # fmt: skip

    def write(self) -> None:
        """A line now, where there is no terminal."""
        if not self._silent and self._bar is None:
            self._last = self._clock()
            sys.stderr.write(f"{self.text()}\n")
            sys.stderr.flush()

    def close(self, *, well: bool) -> None:
        """The end; of work that did not end well there is no last line."""
        if self._bar is not None:
            self._bar.close()
        elif well:
            self.write()


class Stages:
    """Work in stages over the same texts, part by part: how far all of it is, and how fast each stage.

    Args:
        name: of the work.
        work: stage -> units of it in all parts.
        langs: language -> parts in it.
        silent, clock: as of ``Line``.
    """

    def __init__(
        self,
        name: str,
        work: Mapping[str, int],
        langs: Mapping[str, int] | None = None,
        *,
        silent: bool = False,
        clock: Clock = time.perf_counter,
    ):
        self._left, self._languages = Counter(langs or {}), len(langs or {})
        self._done: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._clock = clock
        self._since = clock()
        self._closed = False
        self._line = Line(name, sum(work.values()), "text", self.rates, silent=silent, clock=clock)

    def __enter__(self) -> Stages:
        self._line.write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(well=kind is None)

    def close(self, *, well: bool) -> None:
        if not self._closed:
            self._line.close(well=well)
        self._closed = True

    def begin(self) -> None:
        """A stage of a part begins: what was done since the last one took no time of it."""
        self._since = self._clock()

    def advance(self, stage: str, count: int) -> None:
        """So many units more of a stage are done."""
        now = self._clock()
        self._seconds[stage] += now - self._since  # type: ignore[assignment]
        self._since = now
        self._done[stage] += count
        self._line.advance(count)

    def finish(self, langs: Mapping[str, int]) -> None:
        """Parts in these languages are done in all stages."""
        self._left.subtract(langs)

    def rates(self) -> str:
        """Languages that are done, and how many units a second each stage does."""
        parts = []
        if self._languages > 1:
            parts.append(f"{sum(left <= 0 for left in self._left.values())}/{self._languages} languages")
        for stage, done in self._done.items():
            spent = self._seconds[stage]
            speed = f" at {done / spent:,.1f}/s" if spent > 0 else ""
            parts.append(f"{stage}: {done:,}{speed}")
        return ", ".join(parts)
