"""Which scorer to use where none is named: the best-validated one that is here and knows the languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DetoxbenchError
from ..registry import SCORERS
from ..validity.known import known, sentence
from .presets import Preset, classifiers, guards, named
from .presets.schema import pinned

EMBEDDED = "ngram"
"""The scorer that comes with the package and knows real text."""


@dataclass(frozen=True)
class Choice:
    """A scorer, and what is known of it.

    Args:
        spec: its exact specification, presets written out.
        name: the shorter name that it has.
        validity: as its card has it.
        languages: that it was chosen for, primary subtags.
    """

    spec: str
    name: str
    validity: Mapping[str, Any]
    languages: tuple[str, ...]

    @property
    def auc(self) -> dict[str, float]:
        """Language -> area under the ROC curve against people's labels, of several label sets the worst."""
        found = {lang: known(self, lang) for lang in self.languages}
        return {lang: one.auc for lang, one in found.items() if one is not None}

    def __str__(self) -> str:
        """One line for the user: which one, what its numbers are worth, and what else there is."""
        more = others(self.languages, self.name)
        larger = f"; larger ones for these languages: {', '.join(more)}" if more else ""
        return f"{sentence(self, list(self.languages))}{larger}; detoxbench scorers lists all"


def cached(model: str, revision: str | None) -> bool:
    """Whether a model's configuration and weights are in the hub's cache on this machine."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    here = [try_to_load_from_cache(model, name, revision=revision) for name in ("config.json", *names)]
    return isinstance(here[0], str) and any(isinstance(one, str) for one in here[1:])


def validated() -> dict[str, tuple[Preset, str, str | None]]:
    """Name -> preset, model and revision, of all presets that were measured and run here."""
    found: dict[str, tuple[Preset, str, str | None]] = {
        name: (one, one.model, pinned(one.revision)) for name, one in classifiers().items() if one.figures
    }
    for guard in guards().values():
        for name, variant in guard.variants.items():
            if guard.figures and guard.served_only is None:
                found[name] = (guard, variant.model, pinned(variant.revision))
    return found


def others(languages: Iterable[str], but: str, most: int = 3) -> list[str]:
    """Names of presets for texts in these languages, the measured ones first: of each at most one, its first.

    Args:
        languages: BCP-47 tags.
        but: the scorer that was chosen instead.
        most: names.
    """
    wanted = {tag.split("-")[0].lower() for tag in languages}
    found: list[tuple[bool, str]] = []
    known: list[tuple[str, Preset]] = list(classifiers().items())
    known += [(next(iter(one.variants)), one) for one in guards().values() if one.variants and one.served_only is None]
    for name, preset in known:
        if name != but and (preset.languages is None or wanted <= set(preset.languages)):
            found.append((not preset.figures, name))
    return [f"{name} (unmeasured)" if unmeasured else name for unmeasured, name in sorted(found, key=_first)[:most]]


def _first(found: tuple[bool, str]) -> bool:
    return found[0]


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
    wanted = tuple(sorted({tag.split("-")[0].lower() for tag in languages}))
    if not wanted:
        raise DetoxbenchError("a scorer is chosen by the languages of the texts, of which none were given")
    choices: list[Choice] = []
    for name, (preset, model, revision) in validated().items():
        supported = preset.languages is None or set(wanted) <= set(preset.languages)
        if supported and at_hand(model, revision):
            choices.append(Choice(named()[name], name, preset.figures, wanted))
    if EMBEDDED in SCORERS:
        scorer = SCORERS[EMBEDDED].from_spec("")
        if scorer.languages is None or set(wanted) & scorer.languages:
            choices.append(Choice(EMBEDDED, EMBEDDED, getattr(scorer, "validity", {}), wanted))
    if not choices:
        raise DetoxbenchError(
            f"no scorer for {', '.join(wanted)} is on this machine: name one with --scorer; detoxbench scorers lists "
            "them"
        )
    return max(choices, key=lambda one: (len(one.auc), sum(one.auc.values()), one.name))
