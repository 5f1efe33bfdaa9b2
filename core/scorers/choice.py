"""Which scorer to use where none is named: the best-validated one that is here and knows the languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DetoxbenchError
from ..registry import SCORERS
from .presets import Preset, classifiers, guards, named

EMBEDDED = "ngram"
"""The scorer that comes with the package and knows real text."""

Validity = Mapping[str, Mapping[str, Any]]
"""Language -> label set -> ``{"figures": {"auc": {"value", "low", "high"}}, …}``, as cards have it."""


@dataclass(frozen=True)
class Choice:
    """A scorer, and what is known of it.

    Args:
        spec: its exact specification, presets written out.
        known_as: the shorter name that it has.
        auc: language -> area under the ROC curve against people's labels, of several label sets the worst.
        unvalidated: languages that were asked for and not measured.
    """

    spec: str
    known_as: str
    auc: Mapping[str, float]
    unvalidated: tuple[str, ...]

    def __str__(self) -> str:
        """One line for the user."""
        parts = []
        if self.auc:
            low, high = min(self.auc, key=self.auc.__getitem__), max(self.auc, key=self.auc.__getitem__)
            figures = f"AUC {self.auc[low]:.2f} ({low})"
            parts.append(figures if low == high else f"{figures} to {self.auc[high]:.2f} ({high})")
            parts[-1] += " against people's labels"
        if self.unvalidated:
            parts.append(f"not validated in {', '.join(self.unvalidated)}")
        return f"scorer: {self.known_as} ({'; '.join(parts)})"


def auc_of(validity: Validity, lang: str) -> float | None:
    """The AUC in a language on the label set where it is worst; None where it was not measured."""
    sets = (validity.get(lang.split("-")[0].lower()) or {}).values()
    found = [one.get("figures", {}).get("auc", {}).get("value") for one in sets]
    return min((value for value in found if value is not None), default=None)


def cached(model: str, revision: str | None) -> bool:
    """Whether a model's configuration and weights are in the hub's cache on this machine."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    here = [try_to_load_from_cache(model, name, revision=revision) for name in ("config.json", *names)]
    return isinstance(here[0], str) and any(isinstance(one, str) for one in here[1:])


def validated() -> dict[str, tuple[Preset, str, str | None]]:
    """Name -> preset, model and revision, of all presets that were measured and run here."""
    found: dict[str, tuple[Preset, str, str | None]] = {
        name: (one, one.model, one.revision) for name, one in classifiers().items() if one.validity
    }
    for guard in guards().values():
        for name, variant in guard.variants.items():
            if guard.validity and guard.served_only is None:
                found[name] = (guard, variant.model, variant.revision)
    return found


def best(languages: Iterable[str], *, at_hand: Callable[[str, str | None], bool] = cached) -> Choice:
    """The scorer for texts in these languages where the user names none.

    Of the embedded scorer and of the presets whose models are on this machine, those that support all the languages;
    of these the one that was measured in most of them, and whose mean AUC over them is the highest. One whose validity
    nobody measured is not chosen before one that was.

    Args:
        languages: BCP-47 tags, at least one.
        at_hand: whether a preset's model is on this machine.

    Raises:
        DetoxbenchError: if there is none.
    """
    wanted = sorted({tag.split("-")[0].lower() for tag in languages})
    if not wanted:
        raise DetoxbenchError("a scorer is chosen by the languages of the texts, of which none were given")
    found: list[tuple[str, str, Validity]] = []
    for name, (preset, model, revision) in validated().items():
        supported = preset.languages is None or set(wanted) <= set(preset.languages)
        if supported and at_hand(model, revision):
            found.append((name, named()[name], preset.validity))
    if EMBEDDED in SCORERS:
        scorer = SCORERS[EMBEDDED].from_spec("")
        if scorer.languages is None or set(wanted) & scorer.languages:
            found.append((EMBEDDED, EMBEDDED, getattr(scorer, "validity", {})))
    choices = [_choice(name, spec, validity, wanted) for name, spec, validity in found]
    if not choices:
        raise DetoxbenchError(
            f"no scorer for {', '.join(wanted)} is on this machine: name one with --scorer; detoxbench scorers lists "
            "them"
        )
    return max(choices, key=lambda one: (len(one.auc), _mean(list(one.auc.values())), one.known_as))


def _choice(name: str, spec: str, validity: Validity, wanted: Sequence[str]) -> Choice:
    figures = {lang: value for lang in wanted if (value := auc_of(validity, lang)) is not None}
    return Choice(spec, name, figures, tuple(lang for lang in wanted if lang not in figures))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
