"""Tables that fit a terminal: columns that have no room are put below, beside the first column again.

A narrow terminal otherwise cuts every header and number to a few letters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

AROUND = 3
"""Characters of a column beside its text: its border and its padding; the table has one more."""


def show(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    sections: Collection[int] = (),
) -> None:
    """Print a table, in as many parts as the console's width asks for.

    Args:
        console: where to, and how wide it is.
        columns: headers; the first column says what a row is, and stands in every part.
        rows: ``[rows][columns]`` texts, in rich's markup.
        title: above the first part, in rich's markup.
        sections: rows that a line follows.
    """
    for number, places in enumerate(_parts(console.width, columns, rows)):
        table = Table(title=title if number == 0 else None, title_justify="left")
        for place in places:
            table.add_column(columns[place])
        for at, row in enumerate(rows):
            table.add_row(*(row[place] for place in places), end_section=at in sections)
        console.print(table)


def _parts(width: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Places of the columns of each part."""
    texts = [[name, *(row[place] for row in rows)] for place, name in enumerate(columns)]
    widths = [max(Text.from_markup(text).cell_len for text in column) + AROUND for column in texts]
    room = width - 1 - widths[0]
    part, left = [0], room
    for place in range(1, len(columns)):
        if widths[place] > left and len(part) > 1:
            yield part
            part, left = [0], room
        part.append(place)
        left -= widths[place]
    yield part
