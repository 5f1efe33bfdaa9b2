"""What the runs say of the papers' claims, by the rules in ``claims.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from detoxbench.core.constants import BOOTSTRAP_SEED, RESAMPLES
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.results import Run, find, read
from detoxbench.leaderboard.compare import compare
from detoxbench.leaderboard.pairing import rows_of

CLAIMS = Path(__file__).with_name("claims.yaml")
TOXICITY, FLUENCY = "expected_max_toxicity", "perplexity"
REPRODUCED, CONTRADICTED, UNDECIDED, TO_DO = "reproduced", "contradicted", "undecided", "to do"


@dataclass(frozen=True)
class Verdict:
    """Of one claim.

    Args:
        word: ``reproduced``, ``contradicted``, ``undecided``, or ``to do`` where runs are missing.
        change, low, high: the difference with its 95% interval; None where there is none.
        seen: the difference that so many prompts would have shown with 80% power.
        note: why there is none.
    """

    claim: str
    paper: str
    word: str
    change: float | None = None
    low: float | None = None
    high: float | None = None
    seen: float | None = None
    note: str = ""

    def row(self) -> str:
        """A line of Markdown."""
        shown = "–" if self.change is None else f"{self.change:+.3f} [{_signed(self.low)}, {_signed(self.high)}]"
        return f"| {self.claim} | {self.paper} | {shown} | {_signed(self.seen)} | {self.word}{self.note} |"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def verdicts(runs: Mapping[str, Run], texts: Mapping[str, int | None], claims: Path = CLAIMS) -> list[Verdict]:
    """All claims.

    Args:
        runs: cell's digest -> run, of the base study's model and prompts.
        texts: cell's digest -> texts a side of its fit.
    """
    return [_one(claim, runs, texts) for claim in yaml.safe_load(claims.read_text(encoding="utf-8"))]


def _one(claim: Mapping[str, Any], runs: Mapping[str, Run], texts: Mapping[str, int | None]) -> Verdict:
    who = (claim["name"], claim["paper"])
    if (rule := claim.get("trend")) is not None:
        curve = _curve(rule["method"], rule["over"], runs, texts)
        if rule["from"] not in curve or rule["to"] not in curve:
            return Verdict(*who, TO_DO)
        changes = compare(curve[rule["from"]], curve[rule["to"]], [rule["metric"]]).changes
        found = changes[-1]
        if found.change is None or found.low is None or found.high is None:
            return Verdict(*who, UNDECIDED, found.change, note=f" ({found.reason})")
        word = decided(found.low, found.high, down=rule["change"] == "down")
        return Verdict(*who, word, found.change, found.low, found.high, found.minimum_detectable)
    rule = claim["equal"]
    first, second = (_curve(rule[name], rule["over"], runs, texts) for name in ("first", "second"))
    if min(len(first), len(second)) < 2:
        return Verdict(*who, TO_DO)
    return equal(who, list(first.values()), list(second.values()))


def decided(low: float, high: float, *, down: bool) -> str:
    """The word for an interval of a change that a paper has as going down, or up."""
    if not down:
        low, high = -high, -low
    return REPRODUCED if high < 0 else CONTRADICTED if low > 0 else UNDECIDED


def _curve(method: str, over: str, runs: Mapping[str, Run], texts: Mapping[str, int | None]) -> dict[Any, Run]:
    """Value of the parameter -> run, all other arguments at those that most runs have."""
    mine = {digest: run for digest, run in runs.items() if run.model is not None and run.model.method == method}
    settings = {digest: _settings(run, texts.get(digest)) for digest, run in mine.items()}
    rest = [frozenset(item for item in one.items() if item[0] != over) for one in settings.values()]
    usual = max(rest, key=lambda one: (rest.count(one), sorted(map(str, one))), default=None)
    found = {settings[digest][over]: run for (digest, run), one in zip(mine.items(), rest, strict=True) if one == usual}
    return dict(sorted(found.items()))


def _settings(run: Run, texts: int | None) -> dict[str, Any]:
    """Numbers and words among the arguments in force; folders of artifacts are told apart by their texts."""
    assert run.model is not None
    arguments = run.model.effective_arguments or run.model.method_arguments
    plain = {name: value for name, value in arguments.items() if isinstance(value, int | float | bool)}
    return {**plain, "texts": texts}


def equal(who: tuple[str, str], first: Sequence[Run], second: Sequence[Run]) -> Verdict:
    """Log perplexity at equal toxicity, the first method's minus the second's."""
    arrays = [[_arrays(run) for run in curve] for curve in (first, second)]
    prompts = {len(one) for curve in arrays for one in curve}
    if len(prompts) != 1:
        raise DetoxbenchError("the runs of a claim are not of the same prompts")
    count = prompts.pop()
    value = _gap(arrays, np.arange(count))
    if value is None:
        return Verdict(*who, UNDECIDED, note=" (no toxicity that both reach)")
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    draws = (_gap(arrays, rng.integers(0, count, count)) for _ in range(RESAMPLES // 5))
    kept = np.array([draw for draw in draws if draw is not None])
    low, high = np.quantile(kept, [0.025, 0.975])
    return Verdict(*who, decided(low, high, down=True), value, float(low), float(high))


def _arrays(run: Run) -> np.ndarray:
    """``[prompts, 4]``: numerator and denominator of toxicity, then of fluency, prompts in the order of their names."""
    rows = {key: row for task in run.tasks.values() for key, row in rows_of(task).items()}
    return np.array([[*rows[key][TOXICITY], *rows[key][FLUENCY]] for key in sorted(rows)], dtype=float)


def _gap(curves: Sequence[Sequence[np.ndarray]], drawn: np.ndarray) -> float | None:
    """None where the two curves have no toxicity in common."""
    found = []
    for curve in curves:
        sums = np.array([one[drawn].sum(axis=0) for one in curve])
        points = sorted(zip(sums[:, 0] / sums[:, 1], np.log(sums[:, 2] / sums[:, 3]), strict=True))
        found.append(np.array(points))
    low, high = max(one[0, 0] for one in found), min(one[-1, 0] for one in found)
    if low >= high:
        return None
    at = (low + high) / 2
    first, second = (np.interp(at, one[:, 0], one[:, 1]) for one in found)
    return float(first - second)


def load(folder: Path) -> Run:
    """The run in a cell's folder."""
    return read(find(folder)[-1])
