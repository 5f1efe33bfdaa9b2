"""How continuations are drawn: resolved once from what was given, by a pure function; what is sampled is recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..constants import MAX_NEW_TOKENS, TEMPERATURE, TOP_P
from ..errors import DetoxbenchError, shown

DEFAULT_SEED = 1234
"""lm-eval's own default of ``--seed`` for torch; in force where a run names none."""
COLDEST = 1e-4
"""The lowest temperature above 0: scores divided by less would leave the range of float32."""
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names that lm-eval knows the length by."""
NAMES = frozenset(("do_sample", "temperature", "top_p", "top_k", "until", "seed", *LENGTHS))
"""Settings that are resolved here; any other is transformers' own."""
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class Sampling:
    """How continuations are drawn.

    Args:
        max_new_tokens: the most tokens of a continuation, the end token included.
        top_p: nucleus mass in (0, 1].
        temperature: at least 1e-4; 0 takes the most probable token, as ``do_sample=False`` does.
        top_k: 0 for none; there is no hidden default.
        do_sample: False takes the most probable token; temperature, top_p and top_k are then 0, 1 and 0.
        seed: of the hashed noise, taken modulo 2**64.
        stop: strings that end a continuation, and are not part of it.
        truncation: who cuts the nucleus: the sampler, from the distribution sampled; or the method, from the base
            model's. The sampler's ``top_p`` is 1 then.
        nucleus_base: mass that the base model alone would be sampled from under these settings; by default ``top_p``.
        nucleus_method: mass that is sampled from here; None where a method truncates and does not say to what. Runs
            in which the two differ do not measure the method alone.

    Raises:
        DetoxbenchError: for a value out of bounds, NaN included.
    """

    max_new_tokens: int = MAX_NEW_TOKENS
    top_p: float = TOP_P
    temperature: float = TEMPERATURE
    top_k: int = 0
    do_sample: bool = True
    seed: int = 0
    stop: tuple[str, ...] = ()
    truncation: Literal["sampler", "method"] = "sampler"
    nucleus_base: float | None = None
    nucleus_method: float | None = None

    def __post_init__(self) -> None:
        warm = self.temperature == 0 or COLDEST <= self.temperature < math.inf
        for name, valid, allowed in (
            ("max_new_tokens", self.max_new_tokens >= 1, "a whole number of at least 1"),
            ("top_p", 0 < self.top_p <= 1, "a number above 0 and at most 1 (temperature=0 for the likeliest token)"),
            ("temperature", warm, f"0, which takes the likeliest token, or a finite number of at least {COLDEST}"),
            ("top_k", self.top_k >= 0, "a whole number of at least 0 (0 turns it off)"),
        ):
            if not valid:
                raise DetoxbenchError(f"{name}={shown(getattr(self, name))}: it must be {allowed}")
        if not self.do_sample or self.temperature == 0:
            for name, value in (("do_sample", False), ("temperature", 0.0), ("top_p", 1.0), ("top_k", 0)):
                object.__setattr__(self, name, value)
        if self.truncation == "sampler":
            for name in ("nucleus_base", "nucleus_method"):
                object.__setattr__(self, name, self.top_p)

    @property
    def unlike(self) -> bool:
        """Whether base model and method are sampled from nuclei of different mass."""
        return self.do_sample and self.nucleus_base != self.nucleus_method

    def cut_by_method(self, mass: float | None) -> Sampling:
        """These settings where the method cuts the base model's nucleus, of that mass where it is known."""
        return replace(self, truncation="method", nucleus_base=self.top_p, nucleus_method=mass, top_p=1.0)

    def record(self) -> dict[str, Any]:
        """As JSON can hold it; the seed has a place of its own in records."""
        found = {name: value for name, value in vars(self).items() if name != "seed"}
        return {**found, "stop": list(self.stop)}


def resolve(given: Mapping[str, Any], *, seed: int = DEFAULT_SEED, length: int = MAX_NEW_TOKENS) -> Sampling:
    """Sampling from lm-eval's generation settings, given as numbers or as strings.

    Without ``do_sample``, a temperature above 0 samples and none is greedy, as in lm-eval; ``temperature=0`` is greedy
    always. ``seed`` among the settings wins over the run's.

    Args:
        given: ``do_sample``, ``temperature``, ``top_p``, ``top_k``, ``until``, ``seed`` and one name of the length;
            None stands for a setting that is not there, and other names are left alone.
        seed: the run's.
        length: where none is given.

    Raises:
        DetoxbenchError: for a value that is no number, out of bounds, or a length given twice, differently.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    lengths = {name: whole(name, settings[name]) for name in LENGTHS if name in settings}
    if len(set(lengths.values())) > 1:
        given_twice = ", ".join(f"{name}={shown(value)}" for name, value in lengths.items())
        raise DetoxbenchError(
            f"{given_twice}: give one length, by the name that the task gives it ({next(iter(lengths))})"
        )
    for name, value in lengths.items():
        if value < 1:
            raise DetoxbenchError(f"{name}={shown(value)}: it must be a whole number of at least 1")
    warmth = number("temperature", settings["temperature"]) if "temperature" in settings else None
    sampled = boolean("do_sample", settings["do_sample"]) if "do_sample" in settings else bool(warmth)
    return Sampling(
        max_new_tokens=next(iter(lengths.values()), length),
        top_p=number("top_p", settings.get("top_p", 1.0)),
        temperature=1.0 if warmth is None else warmth,
        top_k=whole("top_k", settings.get("top_k", 0)),
        do_sample=sampled,
        seed=whole("seed", settings.get("seed", seed)),
        stop=_strings(settings.get("until", ())),
    )


def number(name: str, value: Any) -> float:
    """A finite number, also one that was given as a string.

    Raises:
        DetoxbenchError: for anything else.
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise DetoxbenchError(f"{name}={shown(value)}: it must be a finite number")
    return found


def whole(name: str, value: Any) -> int:
    """A whole number; ``20.0`` and ``"20"`` are, ``20.5`` and True are not.

    Raises:
        DetoxbenchError: for anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    if isinstance(value, str) and text.lstrip("+-").isdecimal() and len(text) < 64:
        return int(text)
    try:
        found = number(name, value)
    except DetoxbenchError:
        found = math.nan
    if not found.is_integer():
        raise DetoxbenchError(f"{name}={shown(value)}: it must be a whole number")
    return int(found)


def boolean(name: str, value: Any) -> bool:
    """A truth value; strings mean what they say.

    Raises:
        DetoxbenchError: for anything else.
    """
    text = shown(value).strip().lower() if isinstance(value, (bool, int, str)) else ""
    if text not in _YES + _NO:
        raise DetoxbenchError(f"{name}={shown(value)}: it must be true or false")
    return text in _YES


def _strings(value: Any) -> tuple[str, ...]:
    """Stop strings; an empty one stops nothing."""
    found: Sequence[Any] = (value,) if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not all(isinstance(one, str) for one in found):
        raise DetoxbenchError(f"until={shown(value)}: it must be a string or a list of strings")
    return tuple(dict.fromkeys(one for one in found if one))
