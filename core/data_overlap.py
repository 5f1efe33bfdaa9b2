"""Whether scorer, method and prompts have seen one another's texts: a number on familiar texts is a number too good.

Data sets are known by the corpora that their texts come from, so that one that was compiled from another counts as it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .constants import MINI
from .parsing import parse_json
from .records import ModelRun, TaskRun
from .scorers.presets import classifiers, guards

RTP, JIGSAW, HH_RLHF = "RealToxicityPrompts", "Jigsaw", "HH-RLHF"
CORPORA: Mapping[str, tuple[str, ...]] = {
    "rtp": (RTP,),
    "realtoxicityprompts": (RTP,),
    "rtplx": ("RTP-LX", RTP),
    "ptp": ("PolygloToxicityPrompts",),
    "polyglotoxicityprompts": ("PolygloToxicityPrompts",),
    "textdetox": ("TextDetox", JIGSAW),
    "multilingualtoxicitydataset": ("TextDetox", JIGSAW),
    "paradetox": ("ParaDetox", JIGSAW),
    "jigsawmultilingual": (JIGSAW,),
    "jigsaw": (JIGSAW,),
    "civilcomments": ("Civil Comments",),
    "davidson": ("Davidson et al.",),
    "hatespeechoffensive": ("Davidson et al.",),
    "hatecheck": ("HateCheck",),
    "toxigen": ("ToxiGen",),
    "toxigendata": ("ToxiGen",),
    "holisticbias": ("HolisticBias",),
    "hhrlhf": (HH_RLHF,),
    "aegisaicontentsafetydataset20": ("Aegis 2.0", HH_RLHF),
    "nemotronsafetyguarddatasetv3": ("Aegis 2.0", HH_RLHF),
    "wildguardmix": ("WildGuardMix",),
    "polyguardmix": ("WildGuardMix", "PolyGuardMix"),
}
"""Name of a data set, letters and digits alone -> where its texts come from. RTP-LX translates prompts of RTP;
TextDetox's English part and most of ParaDetox are comments of Jigsaw's competitions; Aegis 2.0 has prompts of HH-RLHF,
and Nemotron's set is made of it, as PolyGuardMix is of WildGuardMix: all as their cards say."""

MODELS: Mapping[str, tuple[str, ...]] = {
    "textdetox/": ("textdetox",),
    "unitary/multilingual-toxic": ("jigsaw", "civil_comments"),
    "unitary/unbiased-toxic": ("jigsaw", "civil_comments"),
    "unitary/toxic-bert": ("jigsaw",),
    "detoxify": ("jigsaw", "civil_comments"),
}
"""What is in a scorer's name -> data that it was trained on, as its authors' card says; presets say it of theirs."""


@dataclass(frozen=True)
class Overlap:
    """Two parties of a number that have texts in common.

    Args:
        one, other: of ``scorer``, ``method``, ``prompts``.
        corpora: what they share.
    """

    one: str
    other: str
    corpora: tuple[str, ...]

    def __str__(self) -> str:
        verb = "has seen texts that the prompts come from" if self.other == "prompts" else "was fitted on alike texts"
        also = "" if self.other == "prompts" else f" as the {self.other}"
        return f"the {self.one} {verb}{also}: {', '.join(self.corpora)}"


def corpora(name: str) -> frozenset[str]:
    """Where the texts of a data set, or of a prompt set, come from; its own name where that is not known.

    >>> sorted(corpora("rtp_lx")), sorted(corpora("s-nlp/paradetox")), sorted(corpora("mine.jsonl"))
    (['RTP-LX', 'RealToxicityPrompts'], ['Jigsaw', 'ParaDetox'], ['mine.jsonl'])
    """
    if name in ("", "file", MINI):
        return frozenset()  # no name of anything; and the embedded world is made of itself
    for part in (name.partition(":")[0], name.rpartition("/")[2], name.partition("/")[0]):
        found = CORPORA.get(_letters(part))
        if found:
            return frozenset(found)
    return frozenset((name,))


def trained_on(scorer: str, card: Mapping[str, Any] | None = None) -> list[str]:
    """Names of the data sets that a scorer learned from, as its card, or what is known of its name, says; none known
    is an empty list.

    Args:
        scorer: its name, as results record it.
        card: see ``core.scorers.base.Scorer``: ``trained_on`` (names), or ``sources`` (objects with a ``name``).
    """
    if card:
        named = card.get("trained_on") or [one.get("name") for one in card.get("sources", ())]
        found = [str(one) for one in named if one]
        if found:
            return found
    if scorer.partition(":")[0] == MINI:
        return [MINI]
    known = {**MODELS, **_presets()}
    found = [name for model, names in known.items() if model in scorer.lower() for name in names]
    # An ensemble is called by its members: mean:ngram+hf:….
    if "ngram" in re.split(r"[:+]", scorer) and not scorer.startswith("ngram:"):
        found += _embedded()
    return list(dict.fromkeys(found))


def overlaps(prompt_set: str, scorer: Iterable[str] = (), method: Iterable[str] = ()) -> list[Overlap]:
    """What prompts, scorer and method share; empty where nothing is known to be shared.

    Args:
        prompt_set: name of the prompts' set.
        scorer, method: names of the data sets that each learned from.
    """
    judged, taught, asked = _all(scorer), _all(method), corpora(prompt_set)
    pairs = (("scorer", "prompts", judged & asked), ("method", "prompts", taught & asked),
             ("scorer", "method", judged & taught))  # fmt: skip
    return [Overlap(one, other, tuple(sorted(shared))) for one, other, shared in pairs if shared]


def sources(data: Any) -> list[str]:
    """Names of the data sets in what a manifest says of its data: every list under ``sources``, however deep."""
    if isinstance(data, Mapping):
        own = data.get("sources")
        found = [str(one) for one in own] if isinstance(own, Sequence) and not isinstance(own, str) else []
        deeper = [one for key, one in data.items() if key != "sources"]
    elif isinstance(data, list | tuple):
        found, deeper = [], list(data)
    else:
        return []
    return list(dict.fromkeys([*found, *(name for one in deeper for name in sources(one))]))


def of_run(task: TaskRun, model: ModelRun | None) -> list[Overlap]:
    """What prompts, scorer and method of a measured task share; results of earlier versions say less."""
    scorer = task.scorer_data or trained_on(task.scorer)
    return overlaps(task.prompt_set, scorer, model.trained_on if model else ())


def _all(names: Iterable[str]) -> frozenset[str]:
    return frozenset(one for name in names for one in corpora(name))


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().removesuffix(".jsonl").removesuffix(".tsv").removesuffix(".csv"))


@cache
def _presets() -> Mapping[str, tuple[str, ...]]:
    """Model of a preset, in lower case -> data that it was trained on."""
    models = [(one.model, one.data) for one in classifiers().values()]
    models += [(variant.model, one.data) for one in guards().values() for variant in one.variants.values()]
    return {model.lower(): data for model, data in models if data}


@cache
def _embedded() -> tuple[str, ...]:
    card = parse_json((Path(__file__).parent / "ngram" / "card.json").read_text(encoding="utf-8"))
    return tuple(one["name"] for one in card.get("sources", ()))
