"""From how large a nucleus a run's texts were drawn, and the base model's under the same settings.

A method that cuts the nucleus itself, from the base model's scores, is sampled with top-p 1: what it cut is its own.
Where the two masses differ, so does more than the method, and tables say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...core import comparability
from ...core.comparability import mass
from ..submissions import RunRecord


@dataclass(frozen=True)
class Nucleus:
    """Masses in (0, 1]; None where results do not say.

    Attributes:
        base: of the base model alone under the run's settings.
        drawn: that the texts were drawn from.
        by_method: the method cut it, not the sampler.
        twice: the method cut, and the sampler cut once more what came of it: ``drawn`` is then not known.
        greedy: the likeliest token was taken; there is no nucleus.
    """

    base: float | None
    drawn: float | None
    by_method: bool = False
    twice: bool = False
    greedy: bool = False


def nucleus(record: RunRecord) -> Nucleus:
    """What was drawn from, as ``core.comparability`` has it, beside the base model's; of older results the base is what
    the task asked for."""
    model, first = record.model, record.tasks[0].run
    asked, drawn = mass(first.generation.get("top_p")), comparability.nucleus(model, first)
    if model is None:
        return Nucleus(drawn, drawn)
    if model.sampling.get("do_sample") is False or model.sampling.get("temperature") == 0:
        return Nucleus(None, None, greedy=True)
    if "nucleus_method" in model.sampling:
        base = mass(model.sampling.get("nucleus_base"))
        return Nucleus(base, drawn, by_method=model.sampling.get("truncation") == "method")
    used, own = mass(model.sampling.get("top_p")), mass(model.effective_arguments.get("filter_p"))
    cuts = own is not None and own < 1
    if cuts and used is not None and used < 1:
        return Nucleus(used, None, by_method=True, twice=True)
    return Nucleus(drawn if asked is None else asked, drawn, by_method=cuts)


def words(record: RunRecord) -> str:
    """What nucleus the texts were drawn from, in a sentence; empty where results do not say."""
    found = nucleus(record)
    if found.greedy:
        return "The likeliest token was taken: no nucleus."
    if found.twice:
        return f"The method cut the base model’s nucleus, and the sampler kept {found.base:g} of what came of it."
    if record.model is None or found.drawn is None:
        return "The method cut the nucleus itself and does not say to what." if found.by_method else ""
    alike = found.base is None or found.base == found.drawn
    if found.by_method:
        kept = f"The method itself kept the nucleus of {found.drawn:g} of the base model"
        return f"{kept}." if alike else f"{kept}, which alone is sampled from one of {found.base:g}."
    if not alike:
        return f"The task asked for top-p {found.base:g}; the texts were drawn with top-p {found.drawn:g}."
    return f"The sampler kept the nucleus of {found.drawn:g}." if found.drawn < 1 else "Nothing was cut: top-p 1."


def unlike(record: RunRecord, base: RunRecord | None) -> str:
    """Why part of what a run changes may be its nucleus, in words; empty where its and its base's are alike.

    Without a base, and where the base does not say, what the run itself says of the base model counts.
    """
    own = nucleus(record)
    if own.twice:
        return "the method and the sampler both cut the nucleus; the base model’s was cut once"
    without = nucleus(base).drawn if base is not None else None
    for other in (without, own.base):
        if own.drawn is not None and other is not None and own.drawn != other:
            return f"drawn from a nucleus of {own.drawn:g}, without the method from one of {other:g}"
    return ""
