"""What a method declares beside its formula: paper, artifacts, how they are fitted and imported, what suits ``mini``.

The commands ``fit``, ``import`` and ``methods``, sweeps, continual studies, first use on ``mini`` and the method's page
are made from this, so that nothing else names a method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..core.errors import DetoxbenchError
from ..core.mini import corpus
from .settings import Settings

if TYPE_CHECKING:  # it imports torch
    from .needs import Needs

Side = Literal["toxic", "nontoxic"]
SIDES: tuple[Side, ...] = ("toxic", "nontoxic")


@dataclass(frozen=True)
class About:
    """Where a method comes from.

    Args:
        summary: one line.
        paper: authors, place, year.
        bibtex: of the paper.
        licence: of the authors' code or artifacts, as far as stated.
        url: of the paper.
    """

    summary: str = ""
    paper: str = ""
    bibtex: str = ""
    licence: str = ""
    url: str = ""


@dataclass(frozen=True)
class Artifact:
    """A folder that a fit makes below its output.

    Args:
        name: of the folder.
        description: what it is.
        side: of the labelled texts that it is made from; ``both`` if from all that are given.
        numbered: there are several: ``NAME_0``, ``NAME_1``, ….
        kind: that its manifest says; None for a causal LM, whose folder need not be ours.
        own_vocabulary: it may read other tokens than the base model; the method translates.
    """

    name: str
    description: str
    side: Side | Literal["both"]
    numbered: bool = False
    kind: str | None = None
    own_vocabulary: bool = False

    def paths(self, folder: Path) -> list[Path]:
        """Those that are there."""
        if self.numbered:
            return sorted(folder.glob(f"{self.name}_*"), key=lambda path: (len(path.name), path.name))
        return [folder / self.name] if (folder / self.name).is_dir() else []


@dataclass(frozen=True)
class Use:
    """An argument of a method that names an artifact.

    Args:
        argument: its name.
        artifact: the artifact's.
        when: values of other arguments under which it names this one (None: not given); without, by default.
        many: it takes all of a numbered artifact, or the folder that holds them.
    """

    argument: str
    artifact: str
    when: Mapping[str, Any] = field(default_factory=dict)
    many: bool = False


@dataclass(frozen=True)
class Made:
    """What a fit made.

    Args:
        paths: artifact's name -> folder.
        rows: of the summary, each a column's name -> text.
        arguments: further ones with which the method is used as fitted.
        notes: lines for people.
    """

    paths: Mapping[str, Path]
    rows: Sequence[Mapping[str, str]] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


class FitFunction(Protocol):
    """Makes artifacts; killed and called again, it goes on."""

    def __call__(
        self,
        pretrained: str,
        out: Path,
        *,
        texts: Mapping[str, Any],
        settings: Any,
        revision: str | None = None,
        device: str | None = None,
        append: bool = False,
    ) -> Made:
        """
        Args:
            pretrained: base model: folder, hub name or ``mini``.
            out: folder of the artifacts.
            texts: side -> its texts (``training.texts.Texts``), as far as given; of a fit that takes pairs, also
                ``pairs`` -> ``training.pairs.Pairs``.
            settings: of the class that the ``Fit`` declares.
            revision: of the base model on the hub.
            device: ``cpu``, ``cuda``, …; by default a GPU if there is one.
            append: grow artifacts that are there; only where the ``Fit`` grows that way.

        Raises:
            DetoxbenchError: in one line, for what is wrong with texts, settings or model.
        """
        ...


@dataclass(frozen=True)
class Growth:
    """How artifacts take in one language or domain after another.

    Args:
        kind: ``append`` grows the artifact that is there; ``retrain`` makes it anew, from all texts so far or the last;
            ``vectors`` adds one more part, of which the method takes a list.
        settings: of the fit of one step, where they differ from the fit's own.
        strength: with ``vectors``: the argument that weighs the parts' mean; so many times it is their sum.
        mini: arguments that suit ``mini`` in a study.
    """

    kind: Literal["append", "retrain", "vectors"]
    settings: Mapping[str, Any] = field(default_factory=dict)
    strength: str | None = None
    mini: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mini:
    """A fit on the embedded model and corpus.

    Args:
        settings: that suit a model of its size.
        studies: further ones in sweeps and continual studies.
        sides: of the corpus that first use takes; by default all that the fit takes.
        sentences: of each template of the corpus.
        files: embedded files beside model and corpus that the result depends on.
        minutes: of one processor core that first use takes, about; None where nobody has measured it.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    studies: Mapping[str, Any] = field(default_factory=dict)
    sides: tuple[Side, ...] = ()
    sentences: int = corpus.EXPANSIONS
    files: tuple[Path, ...] = ()
    minutes: float | None = None


@dataclass(frozen=True)
class Fit:
    """How artifacts are made from labelled text; methods that use the same artifacts share it.

    Args:
        name: of its label in sweeps and its folder in the cache.
        summary: what the command says it makes.
        run: makes them.
        artifacts: below the output.
        settings: their class.
        defaults: settings of this fit that differ from those of their class.
        takes: sides of the texts that are learned from.
        needs: those of them that have to be given; where there are none, at least one.
        pairs: it also learns from paired text (``training.pairs``), under the key ``pairs``; no side is needed then.
        held_out: sides that only the command takes, to measure something.
        unattended: settings where nobody looks at the output: in sweeps, studies and at first use.
        grows: how a continual study adds texts; None where it cannot.
        mini: what suits the embedded model.
        cost: from the base model's ``needs.Size``, the texts and the settings to the ``needs.Needs`` of the fit; by
            default those of a model that is only read.
    """

    name: str
    summary: str
    run: Callable[..., Made]
    artifacts: tuple[Artifact, ...]
    settings: type[Settings] = Settings
    defaults: Mapping[str, Any] = field(default_factory=dict)
    takes: tuple[Side, ...] = SIDES
    needs: tuple[Side, ...] = ()
    pairs: bool = False
    held_out: tuple[Side, ...] = ()
    unattended: Mapping[str, Any] = field(default_factory=dict)
    grows: Growth | None = None
    mini: Mini = Mini()
    cost: Callable[..., Needs] | None = None

    def make(
        self,
        pretrained: str,
        out: Path,
        *,
        texts: Mapping[str, Any],
        settings: Any,
        revision: str | None = None,
        device: str | None = None,
        **more: Any,
    ) -> Made:
        """``run``, after a line about what it takes; see ``FitFunction`` for the arguments.

        Raises:
            DetoxbenchError: before anything is loaded, where memory or disk does not suffice.
        """
        from . import available, needs
        from .training import finetune, work

        there = all(artifact.paths(out) for artifact in self.artifacts)
        size = None if there else needs.Size.of(pretrained, revision, texts)
        if size is not None and finetune.rank() == 0:
            wanted = (self.cost or needs.reading)(size, texts, settings)
            work.say(available.check(self.name, wanted, out, device))
        return self.run(pretrained, out, texts=texts, settings=settings, revision=revision, device=device, **more)

    def parse(self, *given: Mapping[str, Any], what: str = "setting") -> Any:
        """Its settings, by names of fields or options; of several mappings the last one wins.

        Raises:
            DetoxbenchError: for an unknown name or a value out of bounds.
        """
        nested: dict[str, Any] = {}
        for one in (self.defaults, *given):
            nested = _merged(nested, self.settings.nested(one, what))
        return self.settings(**nested)

    def artifact(self, name: str) -> Artifact:
        return next(one for one in self.artifacts if one.name == name)

    def of_its_sides(self, texts: Mapping[str, Any], *, held_out: bool = False) -> dict[str, Any]:
        """Those of the texts that it takes.

        Raises:
            DetoxbenchError: where a side that it needs is not given, nor pairs that stand for both.
        """
        paired = ("pairs",) if self.pairs else ()
        wanted = (*self.takes, *(self.held_out if held_out else ()), *paired)
        found = {side: texts[side] for side in texts if side in wanted}
        if self.pairs and "pairs" in found:
            return found
        missing = [side for side in self.needs if side not in found]
        if missing:
            instead = ", or --pairs" if self.pairs else ""
            raise DetoxbenchError(f"fit: {self.name} needs {missing[0]} texts{instead}")
        if not any(side in found for side in self.takes):
            options = " or ".join(f"--{side}" for side in self.takes)
            both = ", or both" if len(self.takes) > 1 else ""
            paired = "; or --pairs" if self.pairs else ""
            raise DetoxbenchError(f"nothing to fit on: give {options} texts{both}{paired}")
        return found


@dataclass(frozen=True)
class Importer:
    """How the authors' own artifact becomes ours.

    Args:
        summary: what the command says it makes.
        run: from their folder, ours and the settings to a line that says what was made.
        settings: their class.
    """

    summary: str
    run: Callable[[Path, Path, Any], str]
    settings: type[Settings] = Settings


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(first)
    for name, value in second.items():
        known = found.get(name)
        found[name] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return found
