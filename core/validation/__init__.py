"""Whether a run can be believed: what is missing, impossible or contradictory in its files, one line each.

A results file says what a run measured, and its samples files show it. Everything that the samples can show is computed
from them again (``metrics.fractions``) and must agree with what is written: in each row, and in the results. What they
cannot show must at least be possible: within the bounds that the metric declares, inside its own interval, no negative
time. Report, compare, check, submit and the site ask here, so that none of them believes what another refuses.
"""

from __future__ import annotations

from .rows import computes_alike, recomputed, restore
from .runs import believed, validate_run

__all__ = ["believed", "computes_alike", "recomputed", "restore", "validate_run"]
