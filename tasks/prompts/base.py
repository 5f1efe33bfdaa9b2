"""What a prompt set is, and what loading one gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from ...core.constants import TOXIC
from ...core.errors import DetoxbenchError, unknown
from ...core.files import safe_name
from ...core.parsing import parse_json
from ...core.records import Prompt
from ..protocols import RTP
from . import hub

if TYPE_CHECKING:
    from ..options import Options


@dataclass(frozen=True)
class PromptSelection:
    """Which prompts an lm-eval task is about.

    Args:
        prompt_set: name of the set.
        lang: BCP-47 tag; None for prompts of several languages.
        subset: part of the set; None for a set without parts.
    """

    prompt_set: str
    lang: str | None = None
    subset: str | None = None


@dataclass(frozen=True)
class Loaded:
    """The prompts of a task.

    Args:
        prompts: in the order that they are asked in.
        name: what results call the set; by default the set's name.
        revision: commit of the set; None for local files, which ``prompts_sha256`` in results identifies.
        subset: the part that was loaded.
        skipped: rows left out because they could not be read.
        embedded: no text of the real world: the embedded prompts, or none at all.
        messages: what users said to an assistant, rather than texts to go on with.
        places: ``[prompts]`` number of each prompt in the set's own order; None where that is the order.
    """

    prompts: Sequence[Prompt]
    name: str | None = None
    revision: str | None = None
    subset: str | None = None
    skipped: int = 0
    embedded: bool = False
    places: Sequence[int] | None = None
    messages: bool = False

    @property
    def order(self) -> Sequence[int]:
        """``places``, in either case."""
        return range(len(self.prompts)) if self.places is None else self.places

    def chosen(self, which: Sequence[int]) -> list[Prompt]:
        """Some of the prompts, in the set's own order."""
        order = self.order
        return [self.prompts[at] for at in sorted(which, key=lambda at: order[at])]

    @property
    def in_order(self) -> list[Prompt]:
        """All prompts in the set's own order: what a card's sha256 is of."""
        return self.chosen(range(len(self.prompts)))

    def interleaved(self) -> Loaded:
        """The same prompts, toxic and other ones in turns: every beginning has both in the proportion of the whole.

        So ``--limit`` measures toxic and non-toxic prompts, whatever order a set was written in. The i-th of n prompts
        of a kind (toxic, not, without a score) stands at (i + 1/2) / n of the way: a fixed order, without a random
        generator, that keeps the set's own within each kind.
        """
        kinds: dict[bool | None, list[int]] = {}
        for at, prompt in enumerate(self.prompts):
            kinds.setdefault(None if prompt.toxicity is None else prompt.toxicity >= TOXIC, []).append(at)
        if len(kinds) < 2:
            return self
        ways = {at: (number + 0.5) / len(kind) for kind in kinds.values() for number, at in enumerate(kind)}
        turns = sorted(ways, key=lambda at: (ways[at], at))
        order = self.order
        return replace(self, prompts=[self.prompts[at] for at in turns], places=[order[at] for at in turns])


class Card(pydantic.BaseModel):
    """The machine-readable part of a set's card, ``tasks/<set>/card.json``."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    title: str
    homepage: str
    repository: str | None = None
    revision: str | None = None
    revision_note: str = ""
    licence: str
    languages: Sequence[str]
    size: str
    prompts: Mapping[str, int] = {}
    scored: str
    sha256: Mapping[str, str] = {}
    sha256_note: str = ""
    known_issues: Sequence[str] = ()
    content_warning: str
    citation: str


@dataclass(frozen=True)
class PromptSet:
    """A registered set of prompts.

    Args:
        name: of the set; its card lies in the folder of that name.
        load: where and the run's options -> prompts; raises ``DetoxbenchError``.
        tasks: lm-eval task name -> what it is about.
        groups: lm-eval group name -> its tasks; the group's value is the unweighted mean over them.
        protocol: the sampling protocol of a run that asks for none.
        samples: K of a run that asks for none; None for the protocol's.
        folder: of ``README.md`` and ``card.json``; by default beside this package.
        options: the options of a run that this set reads, for ``detoxbench prompts``.
    """

    name: str
    load: Callable[[PromptSelection, Options], Loaded]
    tasks: Mapping[str, PromptSelection]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    protocol: str = RTP
    samples: int | None = None
    folder: Path | None = None
    options: Sequence[str] = ("path", "prompts_revision", "bad_rows")

    @cached_property
    def card(self) -> Card | None:
        """The set's card; None for a set that ships none."""
        folder = self.folder or Path(__file__).parents[1] / self.name
        path = folder / "card.json"
        if not path.is_file():
            return None
        return Card(**parse_json(path.read_text(encoding="utf-8")))

    @cached_property
    def pinned(self) -> Card:
        """The card of a set that needs one.

        Raises:
            DetoxbenchError: if the installation lacks it.
        """
        if self.card is None:
            raise DetoxbenchError(f"prompt set '{self.name}': its card.json is missing from this installation")
        return self.card

    def files(
        self, where: PromptSelection, options: Options, patterns: Sequence[str], want: str
    ) -> tuple[list[Path], str | None]:
        """The set's files: those under the option ``path``, else of its hub repository at the pinned commit.

        Args:
            where: fills ``{lang}`` and ``{subset}`` in ``path``.
            options: of the run.
            patterns: glob patterns, relative to the repository or to the folder that ``path`` names.
            want: what ``path`` is to be, for messages.

        Returns:
            The files, and the commit; None for local ones.
        """
        example = f'--metadata \'{{"path": "{want}"}}\''
        if options.local_path is None:
            card = self.pinned
            revision = options.prompts_revision or card.revision or "main"
            return hub.snapshot(str(card.repository), revision, patterns, f"pass {example}")
        return local(self.name, options.local_path, where, patterns, example), None


def local(name: str, path: str, where: PromptSelection, patterns: Sequence[str], example: str) -> list[Path]:
    """The files that the option ``path`` names: one file, or those in a folder that match.

    Raises:
        DetoxbenchError: if there is none.
    """
    filled = path
    for mark, part in (("{lang}", where.lang), ("{subset}", where.subset)):
        filled = filled.replace(mark, "/".join(map(safe_name, part.split("/"))) if part else "")
    place = Path(filled).expanduser()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DetoxbenchError(f"{name}: path='{filled}': there is no such file or folder; give {example}")
    # A clone has the repository's folders; somebody's copy may have the files alone.
    for deeper in (patterns, [f"**/{pattern}" for pattern in patterns]):
        found = sorted({file for pattern in deeper for file in place.glob(pattern) if file.is_file()})
        if found:
            return found
    raise DetoxbenchError(f"{name}: path='{filled}': none of {', '.join(patterns)} in it; give {example}")


def gather(
    files: Sequence[Path], read: Callable[[Path, float], tuple[Sequence[Prompt], int]], what: str
) -> tuple[list[Prompt], int]:
    """The prompts of several files, in order, and how many rows were skipped.

    Args:
        files: at least one.
        read: path and time of change -> prompts and skipped rows.
        what: the set, and the language if it has several, for messages.

    Raises:
        DetoxbenchError: if there is no prompt in any of them.
    """
    found = [read(path.resolve(), path.stat().st_mtime) for path in files]
    prompts = [prompt for part, _ in found for prompt in part]
    if not prompts:
        raise DetoxbenchError(f"{what}: no prompt in {', '.join(map(str, files))}")
    return prompts, sum(skipped for _, skipped in found)


def choose(kind: str, given: str | None, allowed: Sequence[str], default: str) -> str:
    """One of the allowed names.

    Raises:
        DetoxbenchError: for another one.
    """
    if given is None:
        return default
    if given not in allowed:
        raise unknown(kind, given, allowed)
    return given


def row_object(value: Any) -> Mapping[str, Any]:
    """The row as an object.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(value, Mapping):
        raise ValueError("not a JSON object")
    return value
