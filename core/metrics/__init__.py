"""The metrics, one file a theme: numbers of one prompt in, numerator and denominator out.

The built-in ones and those of other packages (entry points of the group ``detoxbench.metrics``, each a ``Metric``) come
through one table, ``core/registry.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property

from .. import registry
from .base import ROLES, Fraction, Metric, Role

__all__ = ["METRICS", "ROLES", "Fraction", "Metric", "Role", "with_role"]

logger = logging.getLogger(__name__)


class Metrics(Mapping[str, Metric]):
    """Name -> metric: the built-in ones in the order of tables, then those of other packages by name.

    Loaded on first use, for a package that brings a metric imports this module itself. One that cannot be loaded, or
    is called otherwise than its entry point, is left out with a warning.
    """

    @cached_property
    def _found(self) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        for name in registry.METRICS.in_order():
            try:
                metric = registry.METRICS[name]
            except Exception as error:  # another package's fault must not end a run that does not need it
                logger.warning(f"metric '{name}' cannot be loaded: {error}")
                continue
            if isinstance(metric, Metric) and metric.name == name:
                found[name] = metric
            else:
                logger.warning(f"metric '{name}' is left out: its entry point must hold a Metric of that name")
        return found

    def __getitem__(self, name: str) -> Metric:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


METRICS = Metrics()


def with_role(role: Role) -> tuple[str, ...]:
    """Names of the metrics that have it, in the order of tables."""
    return tuple(name for name, metric in METRICS.items() if role in metric.roles)
