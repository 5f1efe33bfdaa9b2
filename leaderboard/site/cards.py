"""What is known of methods and scorers beside their numbers, given as plain data by whoever has them registered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from ...core.errors import DetoxbenchError
from ...core.registry import PLUS


class Argument(pydantic.BaseModel):
    """A setting of a method: name, type, default and meaning, all as text."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    type: str = ""
    default: str = ""
    description: str = ""


class Card(pydantic.BaseModel):
    """A method or a scorer.

    Args:
        name: as in records; of scorers, what comes before a colon (``hf`` of ``hf:some/model``) will do.
        kind: of method, such as ``logit``.
        summary: one sentence.
        card: Markdown: formula, settings, limits. HTML in it is text, and pictures are left out.
        arguments: settings.
        citation: BibTeX; empty where there is no paper.
        paper: authors, year, title in one line.
        licence: of what is published with it.
        links: name -> address.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str = ""
    summary: str = ""
    card: str = ""
    arguments: list[Argument] = []
    citation: str = ""
    paper: str = ""
    licence: str = ""
    links: dict[str, str] = {}

    @property
    def html(self) -> str:
        """``card`` without its title, which the page has."""
        return markdown(re.sub(r"\A\s*# [^\n]*\n", "", self.card))

    @property
    def shown_links(self) -> dict[str, str]:
        """Those that lead to a web page."""
        return {name: address for name, address in self.links.items() if address.startswith(("https://", "http://"))}


def read(cards: Iterable[Card | Mapping[str, Any]]) -> dict[str, Card]:
    """Name -> card.

    Raises:
        DetoxbenchError: for one that is none.
    """
    try:
        found = [card if isinstance(card, Card) else Card.model_validate(card) for card in cards]
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DetoxbenchError(f"a card is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return {card.name: card for card in found}


def combined(name: str, cards: Mapping[str, Card]) -> Card | None:
    """The card of several methods on one model (``profs+rad``), of theirs; None for one method, or where none of them
    is known."""
    parts = [cards[one] for one in name.split(PLUS) if one in cards] if PLUS in name else []
    if not parts:
        return None

    def joined(field: str, by: str) -> str:
        return by.join(dict.fromkeys(text for one in parts if (text := getattr(one, field))))

    return Card(
        name=name,
        kind=joined("kind", PLUS),
        summary=f"{', then '.join(name.split(PLUS))}, on one model.",
        card="\n".join(f"- `{one.name}` ({one.kind}): {one.summary}" for one in parts),
        arguments=[
            argument.model_copy(update={"name": f"{one.name}.{argument.name}"})
            for one in parts
            for argument in one.arguments
        ],
        citation=joined("citation", "\n\n"),
        paper=joined("paper", "; "),
        licence=joined("licence", " "),
        links={f"Read {one.name}": address for one in parts for address in list(one.links.values())[:1]},
    )


class _Renderer(RendererHTML):
    """Headings two levels down, below the page's own; links that lead elsewhere say nothing of where one comes from."""

    def heading_open(self, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return f"<h{min(6, int(tokens[at].tag[1]) + 1)}>"

    def heading_close(self, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return f"</h{min(6, int(tokens[at].tag[1]) + 1)}>\n"

    def link_open(self, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        address = str(tokens[at].attrGet("href") or "")
        if not address.startswith(("https://", "http://")):
            tokens[at].attrs = {}  # a path of the repository leads nowhere here
        else:
            tokens[at].attrSet("rel", "noreferrer")
        return self.renderToken(tokens, at, options, env)

    def table_open(self, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="scroll fit" role="region" aria-label="Table" tabindex="0"><table class="plain">\n'

    def table_close(self, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return '<th scope="col">'

    def td_open(self, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return "<td>"


_MARKDOWN = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table").disable("image")


def markdown(text: str) -> str:
    """Markdown as HTML in which nothing of it can be markup of its own: no HTML, no picture, no style."""
    return _MARKDOWN.render(text)
