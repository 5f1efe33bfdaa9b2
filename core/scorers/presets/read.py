"""Presets from their files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ...errors import DetoxbenchError
from ...parsing import ParseError, parse_yaml
from .schema import Classifier, Guard, Preset, pinned

FOLDER = Path(__file__).parent

Kind = TypeVar("Kind", bound=Preset)


def read(path: Path, kind: type[Kind]) -> Kind:
    """The preset in a file.

    Raises:
        DetoxbenchError: naming the file and the field.
    """
    try:
        found = parse_yaml(path.read_text(encoding="utf-8"))
        return kind.model_validate(_filled(found))
    except (OSError, ParseError, UnicodeDecodeError, ValidationError) as error:
        raise DetoxbenchError(f"preset '{path}': {str(error).splitlines()[0]}: {error}") from None


@cache
def _ours() -> Mapping[str, str]:
    """Words of ours in presets: the rubric of ``judge:`` has one home."""
    from ..judge import CLOSE, OPEN, RUBRIC

    return {"{rubric}": RUBRIC, "{open}": OPEN, "{close}": CLOSE}


def _filled(value: object) -> object:
    if isinstance(value, str):
        for name, words in _ours().items() if "{" in value else ():
            value = value.replace(name, words)
        return value
    if isinstance(value, dict):
        return {key: _filled(entry) for key, entry in value.items()}
    return [_filled(entry) for entry in value] if isinstance(value, list) else value


@cache
def classifiers() -> Mapping[str, Classifier]:
    """Name -> preset of ``hf:``."""
    return {path.stem: read(path, Classifier) for path in sorted((FOLDER / "classifiers").glob("*.yaml"))}


@cache
def guards() -> Mapping[str, Guard]:
    """Name -> preset of ``guard:``."""
    return {path.stem: read(path, Guard) for path in sorted((FOLDER / "guards").glob("*.yaml"))}


@cache
def named() -> Mapping[str, str]:
    """Name of a scorer -> the specification that it stands for."""
    found = {name: one.spec for name, one in classifiers().items()}
    for preset, guard in guards().items():
        for name, variant in guard.variants.items():
            commit = pinned(variant.revision)
            revision = f",revision={commit}" if commit else ""
            found[name] = f"guard:{variant.model},preset={preset}{revision}"
    return found


def names() -> list[str]:
    """The scorers' names that presets add."""
    return sorted(named())


def spec_of(spec: str) -> str:
    """A specification in which a preset's name is replaced by what it stands for, options after it kept.

    >>> spec_of("granite-hap-38m,dtype=bfloat16").startswith("hf:ibm-granite/granite-guardian-hap-38m,label=")
    True
    >>> spec_of("mini")
    'mini'

    Raises:
        DetoxbenchError: for an option of the preset's own, which would make it another scorer.
    """
    name, colon, rest = spec.partition(":") if ":" in spec.partition(",")[0] else spec.partition(",")
    if name not in named():
        return spec
    if colon == ":":
        raise DetoxbenchError(f"scorer '{name}' takes options, not an argument: {name},option=value")
    full = named()[name]
    taken = {piece.partition("=")[0] for piece in full.split(",")[1:]}
    for piece in rest.split(",") if rest else ():
        option = piece.partition("=")[0].strip()
        if option in taken:
            raise DetoxbenchError(
                f"scorer '{name}': {option} is part of what the name stands for ({full}); write that out to change it"
            )
    return full + (f",{rest}" if rest else "")
