"""What a scorer is fitted on: labelled texts with targets from 0 to 1, in the four parts of ``core.validity.split``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.parsing import parse_yaml
from ...core.validity.labelled import LabelledText
from ...core.validity.split import part_of

IDENTITIES = Path(__file__).with_name("identities.yaml")
MORE = 5
"""Times that a whole sentence counts."""
NEUTRAL = 0.0
"""Target of a sentence that names a group and says nothing against it."""


@dataclass(frozen=True)
class Examples:
    """Texts in order, and arrays [texts].

    Args:
        texts: as published.
        langs: primary subtags.
        targets: how toxic, from 0 to 1; 0.5 is where a text begins to be toxic.
        positive: whether people call it toxic.
        clusters: what a text shares with its translations.
        parts: ``train``, ``dev``, ``calibration`` or ``test``.
        sources: number of the label set.
    """

    texts: Sequence[str]
    langs: np.ndarray
    targets: np.ndarray
    positive: np.ndarray
    clusters: np.ndarray
    parts: np.ndarray
    sources: np.ndarray


def of(sets: Sequence[Sequence[LabelledText]]) -> Examples:
    """The examples of several label sets; ratings from 1 to 5 become 0 to 1."""
    every = [(number, one) for number, texts in enumerate(sets) for one in texts]
    return Examples(
        [one.text for _, one in every],
        np.array([one.lang.split("-")[0].lower() for _, one in every]),
        np.array([(one.label - 1) / 4 if one.ratings else one.label for _, one in every], dtype=float),
        np.array([one.positive for _, one in every], dtype=bool),
        np.array([one.cluster for _, one in every]),
        np.array([part_of(one.cluster) for _, one in every]),
        np.array([number for number, _ in every], dtype=int),
    )


def families(examples: Examples) -> list[tuple[str, ...]]:
    """Languages that are fitted together: those that have translations of each other's texts; others stand alone."""
    family = {lang: {lang} for lang in set(examples.langs.tolist())}
    together: dict[str, set[str]] = defaultdict(set)
    for cluster, lang in zip(examples.clusters.tolist(), examples.langs.tolist(), strict=True):
        together[cluster].add(lang)
    for langs in {frozenset(langs) for langs in together.values()}:
        joined = set().union(*(family[lang] for lang in langs))
        for lang in joined:
            family[lang] = joined
    return sorted({tuple(sorted(langs)) for langs in family.values()})


def only(examples: Examples, langs: Sequence[str]) -> Examples:
    """The examples in some languages."""
    places = np.flatnonzero(np.isin(examples.langs, list(langs)))
    arrays = (examples.langs, examples.targets, examples.positive, examples.clusters, examples.parts, examples.sources)
    return Examples([examples.texts[place] for place in places], *(array[places] for array in arrays))


def shared(examples: Examples, share: float) -> np.ndarray:
    """Targets [texts] drawn towards those of the texts' translations.

    A few annotators of one language are a noisy measurement; those of a prompt's translations measure nearly the same.
    The target becomes ``(1 - share) * own + share * mean over the cluster``, each language's mean taken out of the
    latter. Clusters lie in one part, so that no text learns from a label of another part.
    """
    level = {lang: examples.targets[examples.langs == lang].mean() for lang in set(examples.langs.tolist())}
    expected = np.array([level[lang] for lang in examples.langs.tolist()])
    gathered: dict[str, list[float]] = defaultdict(list)
    languages: dict[str, set[str]] = defaultdict(set)
    for cluster, lang, rest in zip(examples.clusters, examples.langs, examples.targets - expected, strict=True):
        gathered[cluster].append(rest)
        languages[cluster].add(lang)
    mean = np.array([np.mean(gathered[cluster]) for cluster in examples.clusters]) + expected
    several = np.array([len(languages[cluster]) > 1 for cluster in examples.clusters], dtype=bool)
    return np.where(several, (1 - share) * examples.targets + share * np.clip(mean, 0, 1), examples.targets)


def groups(lang: str) -> list[str]:
    """Names of groups of people in that language; empty for one that the file does not have."""
    content = parse_yaml(IDENTITIES.read_text(encoding="utf-8"))
    return list(content.get(lang, {}).get("groups", ()))


def identities(langs: Sequence[str]) -> list[tuple[str, str]]:
    """Text and language of every neutral sentence with a group's name, in the languages that the file has."""
    content = parse_yaml(IDENTITIES.read_text(encoding="utf-8"))
    found = []
    for lang in langs:
        own = content.get(lang, {})
        filled = [
            sentence.replace("{group}", group) for sentence in own.get("sentences", ()) for group in own["groups"]
        ]
        # A sentence about one person is written once and counts like one that is written for several groups.
        found += [(text, lang) for text in filled + MORE * list(own.get("more", ()))]
    return found
