"""A method's card: its text and all that it declares, for ``detoxbench methods`` and the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..core.registry import METHODS
from .artifact_arguments import declared
from .base import Method
from .settings import bounds

SHOWN = {"toxic": "toxic text", "nontoxic": "non-toxic text", "both": "text of both sides"}


@dataclass(frozen=True)
class Card:
    """What is known of a method.

    Args:
        name: under which it is registered.
        kind: logit, weight, prompt or none.
        summary, paper, url, licence, bibtex: see ``About``.
        text: Markdown: formula, settings, limits; empty where the method brings none.
        arguments: each with ``name``, ``default``, ``required``, ``bounds`` and ``description``.
        artifacts: each with ``name``, ``description``, ``side`` and the ``arguments`` that name it.
        fit: the command that makes them; empty where there is none.
        settings: of the fit, as the arguments.
        imports: the command for the authors' own artifacts; empty where there is none.
    """

    name: str
    kind: str
    summary: str
    paper: str
    url: str
    licence: str
    bibtex: str
    text: str
    arguments: Sequence[Mapping[str, Any]]
    artifacts: Sequence[Mapping[str, Any]]
    fit: str
    settings: Sequence[Mapping[str, Any]]
    imports: str

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def markdown(self) -> str:
        """The card for people: the text, then arguments, artifacts, commands and citation."""
        lines = [self.text.strip() or f"# {self.name}\n\n{self.summary}", "", "## Arguments", ""]
        lines += _listed(self.arguments) or ["none"]
        if self.artifacts:
            lines += ["", "## Artifacts", ""]
            for one in self.artifacts:
                named = f"; named by {', '.join(one['arguments'])}" if one["arguments"] else ""
                lines.append(f"- `{one['name']}`: {one['description']} (from {SHOWN[one['side']]}{named})")
            lines += ["", f"    {self.fit}", "", "## Settings of the fit", "", *_listed(self.settings)]
        if self.imports:
            lines += ["", "## The authors' own artifacts", "", f"    {self.imports}"]
        if self.paper:
            lines += [
                "",
                "## Citation",
                "",
                f"{self.paper}. {self.url}".strip(),
                *([self.licence] if self.licence else []),
            ]
        if self.bibtex:
            lines += ["", "```bibtex", self.bibtex, "```"]
        return "\n".join(lines)


def card(name: str) -> Card:
    """The card of a registered method.

    Raises:
        DetoxbenchError: for a method that is not registered or cannot be loaded.
    """
    cls = declared(name)
    about, fit = cls.about, cls.fit
    command, artifacts, settings = "", [], []
    if fit is not None:
        sides = "--pairs …" if fit.pairs else " ".join(f"--{side} …" for side in fit.needs or fit.takes)
        required = [
            f"--{one.replace('_', '-')} …"
            for one, option in fit.settings.options().items()
            if option.field.is_required()
        ]
        command = " ".join([f"detoxbench fit {name} --pretrained …", *required, sides, "--out OUT"])
        for one in fit.artifacts:
            users = [use.argument for use in cls.uses if use.artifact == one.name]
            if users:
                shown = f"{one.name}_0, …" if one.numbered else one.name
                artifacts.append({"name": shown, "description": one.description, "side": one.side, "arguments": users})
        options = fit.settings.options().items()
        settings = [
            _described(other, option.field, fit.defaults) for other, option in options if other not in cls.fit_settings
        ]
    return Card(
        name=name, kind=cls.kind, summary=about.summary or first_line(cls), paper=about.paper, url=about.url,
        licence=about.licence, bibtex=about.bibtex, text=cls.page(),
        arguments=[_described(other, field) for other, field in cls.Arguments.model_fields.items()],
        artifacts=artifacts, fit=command, settings=settings,
        imports=f"detoxbench import {name} FOLDER --out OUT" if cls.imports is not None else "",
    )  # fmt: skip


def cards() -> dict[str, Card]:
    """The cards of all registered methods, those of other packages among them, by name.

    >>> import detoxbench
    >>> detoxbench.methods()["dexperts"].kind
    'logit'
    """
    return {name: card(name) for name in METHODS}


def first_line(cls: type[Method]) -> str:
    """Of its docstring; empty where it has none of its own."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def _described(name: str, field: FieldInfo, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    default = (defaults or {}).get(name, None if field.default is PydanticUndefined else field.default)
    if not isinstance(default, bool | int | float | str | list) and default is not None:
        default = str(default)
    return {
        "name": name, "default": default, "required": field.is_required(), "bounds": bounds(field),
        "description": field.description or "",
    }  # fmt: skip


def _listed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for one in rows:
        value = "required" if one["required"] else f"default {one['default']!r}"
        about = "; ".join(text for text in (one["description"], one["bounds"]) if text)
        lines.append(f"- `{one['name']}` ({value}): {about}" if about else f"- `{one['name']}` ({value})")
    return lines
