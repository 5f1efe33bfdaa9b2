"""Lazy tables from a name to a class, extensible by entry points of other packages."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeGuard

from .errors import DetoxbenchError, unknown

PLUS = "+"
"""Between the names of a combination."""


class Registry(Mapping[str, Any]):
    """Name -> object, imported on first use.

    Args:
        kind: what the table holds, for messages ("scorer").
        table: name -> ``"module:attribute"``.
        group: entry-point group whose packages add to the table; a built-in name wins over an entry point.
        combine: ``"module:function"`` that makes an entry of a name such as ``a+b``; by default there are none. They
            are found, but not listed.
    """

    def __init__(self, kind: str, table: Mapping[str, str], group: str, combine: str | None = None):
        self.kind = kind
        self.group = group
        self._table = dict(table)
        self._combine = combine

    @cached_property
    def _targets(self) -> dict[str, str | EntryPoint]:
        return {**{point.name: point for point in entry_points(group=self.group)}, **self._table}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, name: object) -> bool:
        if self._combined(name):
            return all(part in self._targets for part in name.split(PLUS))
        return name in self._targets

    def in_order(self) -> list[str]:
        """The built-in names as the table has them, then the others by name."""
        return [*self._table, *(name for name in self if name not in self._table)]

    def check(self, name: object) -> str:
        """The name itself, if it is registered.

        Raises:
            DetoxbenchError: naming the nearest registered name and all of them.
        """
        if self._combined(name):
            self[name]  # says what is wrong with it
        elif not isinstance(name, str) or name not in self._targets:
            raise unknown(self.kind, name, self._targets)
        return name

    def _combined(self, name: object) -> TypeGuard[str]:
        return self._combine is not None and isinstance(name, str) and PLUS in name and name not in self._targets

    def __getitem__(self, name: str) -> Any:
        if self._combined(name):
            return _imported(str(self._combine))(name)
        target = self._targets[self.check(name)]
        try:
            if isinstance(target, EntryPoint):
                return target.load()
            return _imported(target)
        except ImportError as error:
            raise DetoxbenchError(f"{self.kind} '{name}' cannot be loaded: {error}") from error


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


SCORERS = Registry(
    "scorer",
    {
        "mini": "detoxbench.core.scorers.mini:MiniScorer",
        "ngram": "detoxbench.core.scorers.ngram:NgramScorer",
        "hf": "detoxbench.core.scorers.hf:HFScorer",
        "guard": "detoxbench.core.scorers.guard.scorer:GuardScorer",
        "served_guard": "detoxbench.core.scorers.guard.served:ServedGuardScorer",
        "detoxify": "detoxbench.core.scorers.detoxify:DetoxifyScorer",
        "perspective": "detoxbench.core.scorers.perspective:PerspectiveScorer",
        "openai_moderation": "detoxbench.core.scorers.openai_moderation:OpenAIModerationScorer",
        "azure": "detoxbench.core.scorers.azure:AzureScorer",
        "judge": "detoxbench.core.scorers.judge:JudgeScorer",
        "calibrated": "detoxbench.core.scorers.calibration:CalibratedScorer",
        "mean": "detoxbench.core.scorers.ensemble:MeanScorer",
    },
    "detoxbench.scorers",
)
METHODS = Registry(
    "method",
    {
        "none": "detoxbench.methods.none.method:NoMethod",
        "dexperts": "detoxbench.methods.dexperts.method:DExperts",
        "goodtriever": "detoxbench.methods.goodtriever.method:Goodtriever",
        "knn_lm": "detoxbench.methods.knn_lm.method:KnnLM",
        "rectification": "detoxbench.methods.rectification.method:Rectification",
        "self_debias": "detoxbench.methods.self_debias.method:SelfDebias",
        "task_vector": "detoxbench.methods.task_vector.method:TaskVector",
        "negation": "detoxbench.methods.negation.method:Negation",
        "dapt": "detoxbench.methods.dapt.method:DAPT",
        "gradient_ascent": "detoxbench.methods.gradient_ascent.method:GradientAscent",
        "gedi": "detoxbench.methods.gedi.method:GeDi",
        "rad": "detoxbench.methods.rad.method:RAD",
        "dpo": "detoxbench.methods.dpo.method:DPO",
        "sasa": "detoxbench.methods.sasa.method:SASA",
        "best_of_n": "detoxbench.methods.best_of_n.method:BestOfN",
        "aura": "detoxbench.methods.aura.method:AurA",
        "linear_act": "detoxbench.methods.linear_act.method:LinearAcT",
        "mean_act": "detoxbench.methods.mean_act.method:MeanAcT",
        "toxification_reversal": "detoxbench.methods.toxification_reversal.method:ToxificationReversal",
        "destein": "detoxbench.methods.destein.method:DeStein",
        "profs": "detoxbench.methods.profs.method:ProFS",
    },
    "detoxbench.methods",
    combine="detoxbench.methods.combining.declaration:combined",
)
STUDIED = "goodtriever"
"""The method of a continual study that names none: the one of "From One to Many" (Pozzobon et al. 2024)."""
PROMPTS = Registry(
    "prompt set",
    {
        "rtp_multilingual": "detoxbench.tasks.prompts.mini:SET",
        "rtp": "detoxbench.tasks.prompts.rtp:SET",
        "ptp": "detoxbench.tasks.prompts.ptp:SET",
        "rtp_lx": "detoxbench.tasks.prompts.rtp_lx:SET",
        "holistic_bias": "detoxbench.tasks.prompts.holistic_bias:SET",
        "toxigen": "detoxbench.tasks.prompts.toxigen:SET",
        "unprompted": "detoxbench.tasks.prompts.unprompted:SET",
        "prompts_file": "detoxbench.tasks.prompts.file:SET",
    },
    "detoxbench.prompts",
)
METRICS = Registry(
    "metric",
    {
        "expected_max_toxicity": "detoxbench.core.metrics.toxicity:EXPECTED_MAX_TOXICITY",
        "toxicity_probability": "detoxbench.core.metrics.toxicity:TOXICITY_PROBABILITY",
        "toxic_fraction": "detoxbench.core.metrics.toxicity:TOXIC_FRACTION",
        "average_toxicity": "detoxbench.core.metrics.toxicity:AVERAGE_TOXICITY",
        "toxic_fraction_in_language": "detoxbench.core.metrics.toxicity:TOXIC_FRACTION_IN_LANGUAGE",
        "average_toxicity_in_language": "detoxbench.core.metrics.toxicity:AVERAGE_TOXICITY_IN_LANGUAGE",
        "expected_max_toxicity_at_5": "detoxbench.core.metrics.toxicity:AT_5",
        "expected_max_toxicity_at_10": "detoxbench.core.metrics.toxicity:AT_10",
        "expected_max_toxicity_at_16": "detoxbench.core.metrics.toxicity:AT_16",
        "expected_max_toxicity_at_25": "detoxbench.core.metrics.toxicity:AT_25",
        "expected_max_toxicity_at_100": "detoxbench.core.metrics.toxicity:AT_100",
        "expected_max_toxicity_at_1000": "detoxbench.core.metrics.toxicity:AT_1000",
        "expected_max_toxicity_at_10000": "detoxbench.core.metrics.toxicity:AT_10000",
        "perplexity": "detoxbench.core.metrics.fluency:PERPLEXITY",
        "perplexity_outliers": "detoxbench.core.metrics.fluency:PERPLEXITY_OUTLIERS",
        "bits_per_byte": "detoxbench.core.metrics.fluency:BITS_PER_BYTE",
        "dist1": "detoxbench.core.metrics.diversity:DIST1",
        "dist2": "detoxbench.core.metrics.diversity:DIST2",
        "dist3": "detoxbench.core.metrics.diversity:DIST3",
        "language_consistency": "detoxbench.core.metrics.language:LANGUAGE_CONSISTENCY",
        "unidentified_fraction": "detoxbench.core.metrics.language:UNIDENTIFIED_FRACTION",
        "empty_fraction": "detoxbench.core.metrics.language:EMPTY_FRACTION",
        "refusal_rate": "detoxbench.core.metrics.refusal:REFUSAL_RATE",
        "failed_fraction": "detoxbench.core.metrics.language:FAILED_FRACTION",
    },
    "detoxbench.metrics",
)
"""The other folders, by name only: harness imports neither tasks nor methods."""
