"""A combination as a method like any other: all that its methods declare, put together."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from ...core.registry import PLUS
from .. import base
from ..needs import Needs, Size, reading
from . import arguments, names, settings


class Combined(base.Method):
    """Several methods on one model, in the order of their names; made by ``combined``."""

    members: tuple[tuple[str, type[base.Method]], ...] = ()

    @classmethod
    def owns(cls, key: str) -> bool:
        return arguments.owns(dict(cls.members), key)

    @classmethod
    def spelled(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        return arguments.spelled(_name(cls), dict(cls.members), given)

    @classmethod
    def applied(cls, parsed: Any) -> list[tuple[type[base.Method], Any]]:
        return [(member, given) for _, member, given in _parsed(cls, parsed)]

    @classmethod
    def check(cls, parsed: Any) -> None:
        names.check_arguments(_name(cls), _parsed(cls, parsed))

    @classmethod
    def completed(cls, complete: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        own = cls.spelled(given)
        return {
            arguments.prefixed(name, argument): value
            for name, _ in cls.members
            for argument, value in complete(name, arguments.of_part(name, own)).items()
        }

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            arguments.prefixed(name, argument): value
            for name, member in cls.members
            for argument, value in member.on_mini(arguments.of_part(name, given)).items()
        }

    @classmethod
    def page(cls) -> str:
        lines = [f"# {_name(cls)}", "", f"{cls.about.summary} In this order:", ""]
        lines += [f"{at}. `{name}` ({one.kind}): {one.about.summary}" for at, (name, one) in enumerate(cls.members, 1)]
        lines += ["", f"`detoxbench methods NAME` has each. Their order: {names.ORDER}.", _fitted_apart(cls)]
        return "\n".join(lines)


def combined(name: str) -> type[Combined]:
    """The method of a name such as ``profs+rad``.

    Raises:
        DetoxbenchError: for a combination that makes no sense; see ``names.members``.
    """
    return _made(name, tuple(names.members(name)))


@cache
def _made(name: str, classes: tuple[type[base.Method], ...]) -> type[Combined]:
    found = tuple(zip(name.split(PLUS), classes, strict=True))
    parts = dict(found)
    once = [one for one in classes if one.kind != "selection"]
    drawn = next((one.forwards for one in classes if one.kind == "selection"), 1)
    return type(
        "Combined",
        (Combined,),
        {
            "__doc__": f"{' and '.join(parts)} together.",
            "kind": PLUS.join(dict.fromkeys(one.kind for one in classes)),
            "members": found,
            "Arguments": arguments.model(parts),
            "about": _about(parts),
            "fit": _fit(name, parts),
            "fit_settings": {
                settings.named(one, key): value for one, cls in found for key, value in cls.fit_settings.items()
            },
            "uses": tuple(_use(one, use) for one, cls in found for use in cls.uses),
            "models": 1 + sum(one.models - 1 for one in classes),
            "forwards": (1 + sum(one.forwards - 1 for one in once)) * drawn,
        },
    )


def _name(cls: type[Combined]) -> str:
    return PLUS.join(name for name, _ in cls.members)


def _parsed(cls: type[Combined], parsed: Any) -> list[tuple[str, type[base.Method], Any]]:
    apart = arguments.values(parsed, [name for name, _ in cls.members])
    # They were checked as fields of the whole: once more, so that each method gets its own class.
    return [(name, member, base.parse_arguments(name, member, apart[name])) for name, member in cls.members]


def _about(parts: Mapping[str, type[base.Method]]) -> base.About:
    def joined(field: str, by: str) -> str:
        return by.join(dict.fromkeys(text for one in parts.values() if (text := getattr(one.about, field))))

    return base.About(
        f"{', then '.join(parts)}, on one model.", joined("paper", "; "), joined("bibtex", "\n\n"),
        joined("licence", " "), joined("url", " "),
    )  # fmt: skip


def _use(name: str, use: base.Use) -> base.Use:
    when = {arguments.prefixed(name, key): value for key, value in use.when.items()}
    return base.Use(arguments.prefixed(name, use.argument), _artifact(name, use.artifact), when, use.many)


def _artifact(name: str, artifact: str) -> str:
    """Below the fit's output: a folder for each method, and in it what its own fit makes."""
    return f"{name}/{artifact}"


class CombinedFit(base.Fit):
    """The fits of all of a combination's methods, each on the base model as it is."""

    def each(self) -> Mapping[str, base.Fit]:
        """Method -> its fit."""
        return dict(self.run.keywords["fits"])  # type: ignore[attr-defined]

    def of_its_sides(self, texts: Mapping[str, Any], *, held_out: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for fit in self.each().values():
            found |= fit.of_its_sides(texts, held_out=held_out)
        return found


def _fit(name: str, parts: Mapping[str, type[base.Method]]) -> CombinedFit | None:
    fits = {one: cls.fit for one, cls in parts.items() if cls.fit is not None}
    if not fits:
        return None

    def flat(of: Any) -> dict[str, Any]:
        return {settings.named(one, key): value for one, fit in fits.items() for key, value in of(fit).items()}

    grow = all(fit.grows is not None for fit in fits.values())
    sides = {one: fit.mini.sides or fit.takes for one, fit in fits.items()}
    return CombinedFit(
        name=name,
        summary=f"What {' and '.join(fits)} need, each below OUT/NAME, from the same texts.",
        run=partial(_run, fits=fits),
        artifacts=tuple(
            base.Artifact(_artifact(one, made.name), made.description, made.side, made.numbered)
            for one, fit in fits.items()
            for made in fit.artifacts
        ),
        settings=settings.combined({one: fit.settings for one, fit in fits.items()}),
        defaults=flat(lambda fit: fit.defaults),
        takes=_union(fit.takes for fit in fits.values()),
        needs=_union(fit.needs for fit in fits.values()),
        pairs=any(fit.pairs for fit in fits.values()),
        held_out=_union(fit.held_out for fit in fits.values()),
        unattended=flat(lambda fit: fit.unattended),
        # Whatever its own way is: made anew from all texts so far, each is what one step would have made of them.
        grows=base.Growth("retrain") if grow else None,
        cost=partial(_cost, fits=fits),
        mini=base.Mini(
            flat(lambda fit: fit.mini.settings), flat(lambda fit: fit.mini.studies), _union(sides.values()),
            max(fit.mini.sentences for fit in fits.values()),
            tuple(dict.fromkeys(path for fit in fits.values() for path in fit.mini.files)),
        ),
    )  # fmt: skip


def _cost(size: Size, texts: Mapping[str, Any], settings: Any, *, fits: Mapping[str, base.Fit]) -> Needs:
    """Of one fit after the other."""
    each = [(fit.cost or reading)(size, fit.of_its_sides(texts), getattr(settings, name)) for name, fit in fits.items()]
    return functools.reduce(Needs.and_then, each)


def _union(several: Any) -> tuple[Any, ...]:
    given = {one for some in several for one in some}
    return tuple(side for side in ("toxic", "nontoxic") if side in given)


def _run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: Any,
    fits: Mapping[str, base.Fit],
    revision: str | None = None,
    device: str | None = None,
) -> base.Made:
    """One fit after the other; killed and called again, those that are finished stay."""
    chosen = {name: fit.of_its_sides(texts) for name, fit in fits.items()}
    made = {
        name: fit.make(
            pretrained, Path(out) / name, texts=chosen[name], settings=getattr(settings, name), revision=revision,
            device=device,
        )
        for name, fit in fits.items()
    }  # fmt: skip
    rows = [{"method": name, "made": _said(row)} for name, one in made.items() for row in one.rows]
    return base.Made(
        {_artifact(name, key): path for name, one in made.items() for key, path in one.paths.items()},
        rows,
        {arguments.prefixed(name, key): value for name, one in made.items() for key, value in one.arguments.items()},
    )


def _said(row: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in row.items())


def _fitted_apart(cls: type[Combined]) -> str:
    if cls.fit is None:
        return ""
    return "Their artifacts are fitted on the base model as it is, each alone."
