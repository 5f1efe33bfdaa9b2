"""What a metric is: numbers of one prompt in, numerator and denominator out, and everything that others must know.

Every metric is a ratio of sums over prompts, so that one bootstrap over prompts serves them all: a mean over prompts
has denominator 1, a share of generations has the number of generations, a prompt without a measurement has 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import DetoxbenchError
from ..metric_names import BOUNDS, MEASURED, SUBSETS
from ..records import PromptResult

Fraction = tuple[float, float]
NOTHING: Fraction = (0.0, 0.0)
"""A prompt that this metric could not be measured on."""

Role = Literal["primary", "cost", "side", "lost", "report", "main", "opening", "change", "paired", "coverage"]
"""Where a metric is shown without being asked for:

* ``primary``: what tables are ranked by; ``cost``: what that is weighed against. One metric each.
* ``side``: what may get worse while the primary one gets better. ``lost``: a share of generations without a score.
* ``report``: a column of ``detoxbench report``.
* ``main``: among those of ``detoxbench compare`` and ``detoxbench groups``.
* ``opening``: a column that a table of the site opens with.
* ``change``: its change against the base is shown by language on the site.
* ``paired``: the site keeps each prompt's part, so that two runs can be compared in it.
* ``coverage``: says on how much of the text the other numbers rest.
"""
ROLES: frozenset[Role] = frozenset(("report", "main", "opening", "paired"))
"""Those of a metric that names none."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric and what a reader must know of it.

    Args:
        name: key in results: lower-case letters, digits and underscores.
        display_name: for tables.
        short: for narrow columns; ``display_name`` where it is left out.
        higher_is_better: None where neither is.
        unit: of the value.
        description: one sentence.
        citation: where it is defined.
        bibtex: key of the citation in ``CITATIONS``, or the whole entry; empty for one without a publication.
        measure: ``PromptResult`` -> (numerator, denominator).
        over_samples: how a prompt's K samples become its number, in words ("maximum", "mean", …).
        over_prompts: ``mean`` where every measured prompt counts the same (its denominator is 1), ``pooled`` where it
            counts by what was measured of it.
        over_languages: ``mean`` where the macro-average is the unweighted mean over languages, ``none`` where an
            average over languages would mean nothing.
        by_prompt_toxicity: also given on toxic and on non-toxic prompts.
        bounds: the least and the largest value that is possible; what lies outside is no measurement.
        least_samples: the K that it needs at least; runs with fewer samples leave it out.
        roles: where it is shown without being asked for, see ``Role``.
        margin: how much worse ``detoxbench check`` lets it become without being asked (``+0.02``, ``x1.1``); None for
            a metric that is tested only on request.

    Raises:
        DetoxbenchError: for a name that could not be told from another's in results, an unknown role, or bounds the
            wrong way round.
    """

    name: str
    display_name: str
    higher_is_better: bool | None
    unit: str
    description: str
    citation: str
    measure: Callable[[PromptResult], Fraction]
    short: str = ""
    bibtex: str = ""
    over_samples: str = "mean"
    over_prompts: Literal["mean", "pooled"] = "mean"
    over_languages: Literal["mean", "none"] = "mean"
    by_prompt_toxicity: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)
    least_samples: int = 1
    roles: Collection[Role] = ROLES
    margin: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.endswith((*BOUNDS, *SUBSETS)) or self.name == MEASURED:
            raise DetoxbenchError(
                f"metric '{self.name}': a name is of lower-case letters, digits and underscores, and ends in none of "
                f"{', '.join((*BOUNDS, *SUBSETS))}"
            )
        if unknown := set(self.roles) - set(get_args(Role)):
            raise DetoxbenchError(
                f"metric '{self.name}': unknown role '{min(unknown)}'; allowed are {', '.join(get_args(Role))}"
            )
        low, high = self.bounds
        if math.isnan(low) or math.isnan(high) or not low < high:
            raise DetoxbenchError(f"metric '{self.name}': bounds={self.bounds}: the least value comes first")

    @property
    def column(self) -> str:
        """Its name in narrow columns."""
        return self.short or self.display_name
