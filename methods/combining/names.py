"""Which methods go together, and in which order: a rule in one line for each combination that makes no sense."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.errors import DetoxbenchError
from ...core.registry import METHODS, PLUS
from .. import base

RANK = {"weight": 0, "prompt": 1, "activation": 2, "logit": 3, "selection": 4}
"""Kind -> its turn: what is changed before the model runs goes first, what is chosen of whole texts last."""
ORDER = "weights first, then prompts, then hidden states, then scores, then the choice among continuations"
ONCE = {"prompt": "puts a text in front", "selection": "chooses among whole continuations"}


def members(name: str) -> list[type[base.Method]]:
    """The methods of a combination, in order.

    Args:
        name: registered names, joined by ``+``.

    Raises:
        DetoxbenchError: for a name that is not registered, or a combination that makes no sense.
    """
    names = name.split(PLUS)
    for one in names:
        if not one:
            raise DetoxbenchError(f"method '{name}': names of methods, joined by {PLUS}, such as profs+rad")
        METHODS.check(one)
    found = [METHODS[one] for one in names]
    if idle := [one for one, cls in zip(names, found, strict=True) if cls.kind == "none"]:
        raise DetoxbenchError(f"method '{name}': '{idle[0]}' is the base model itself: leave it out")
    if twice := [one for one in names if names.count(one) > 1]:
        raise DetoxbenchError(f"method '{name}': '{twice[0]}' is in it twice; its strength is an argument")
    ordered = sorted(names, key=lambda one: RANK[METHODS[one].kind])
    if ordered != names:
        raise DetoxbenchError(f"method '{name}': {ORDER}: write {PLUS.join(ordered)}")
    for kind, what in ONCE.items():
        _at_most_one(name, [one for one, cls in zip(names, found, strict=True) if cls.kind == kind], f"each {what}")
    _differences(name, names, found)
    return found


def _at_most_one(name: str, several: Sequence[str], why: str) -> None:
    if len(several) > 1:
        raise DetoxbenchError(f"method '{name}': {' and '.join(several)} {why}: choose one of them")


def _differences(name: str, names: Sequence[str], found: Sequence[type[base.Method]]) -> None:
    """A checkpoint's difference is that from the base model as it was published: it goes first, and alone."""
    places = [at for at, cls in enumerate(found) if issubclass(cls, base.WeightMethod) and cls.is_difference()]
    _at_most_one(
        name, [names[at] for at in places],
        "each take a checkpoint's difference from the base model, and the second would undo the first",
    )  # fmt: skip
    if places and places[0] > 0:
        first = names[places[0]]
        rest = [one for one in names if one != first]
        raise DetoxbenchError(
            f"method '{name}': {first} is a difference from the base model's own weights, which {names[0]} has changed "
            f"already: write {PLUS.join([first, *rest])}"
        )


def check_arguments(name: str, parts: Sequence[tuple[str, type[base.Method], base.Arguments]]) -> None:
    """Refuse score methods that cut each other's nucleus.

    Args:
        parts: name, class and checked arguments of each method of a combination.

    Raises:
        DetoxbenchError: where two cut it, or one that does is not the last of them.
    """
    scores = [(one, cls, given) for one, cls, given in parts if issubclass(cls, base.LogitMethod)]
    cutting = [one for one, cls, given in scores if cls.cuts(given)]
    if len(cutting) > 1:
        off = [f"{one}.filter_p=1" for one, cls, given in scores if cls.cuts(given) and hasattr(given, "filter_p")]
        raise DetoxbenchError(
            f"method '{name}': {' and '.join(cutting)} each rule tokens out, and the second would cut what the first "
            f"left: let one of them do it{', e.g. with ' + off[0] if off else ''}"
        )
    last = scores[-1][0] if scores else None
    if cutting and cutting[0] != last:
        others = [one for one, _, _ in parts]
        swapped = [last if one == cutting[0] else cutting[0] if one == last else one for one in others]
        raise DetoxbenchError(
            f"method '{name}': {cutting[0]} rules tokens out, which {last} would see after it as impossible: "
            f"write {PLUS.join(map(str, swapped))}, or let it rule none out"
        )


def check_made(name: str, methods: Sequence[base.LogitMethod]) -> None:
    """The same of methods as they were made, whatever their class said.

    Raises:
        DetoxbenchError: where one that truncates is not the last.
    """
    if any(method.truncates for method in methods[:-1]):
        raise DetoxbenchError(
            f"method '{name}': of several score methods the last alone may rule tokens out (filter_p)"
        )
