"""Tables as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence

from ...core.metric_names import on_subset
from ...core.metrics import with_role
from ...core.results import Run
from .rows import task_row, text
from .tables import Board, Cell, Grid, boards

FORMATS = ("markdown", "latex", "csv")
COLUMNS = 6
"""Of a table in a paper; where there are more metrics or languages than that, and than methods, methods are columns."""
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--",
    "<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "]": "{]}",
}  # fmt: skip
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>|#"})


def render(runs: Sequence[Run], form: str) -> str:
    """All tables of the runs in a format of ``FORMATS``."""
    if form == "csv":
        return as_csv(runs)
    table = as_markdown if form == "markdown" else as_latex
    return "\n\n".join(table(grid) for board in boards(runs) for grid in grids(board)) + "\n"


def grids(board: Board) -> list[Grid]:
    """Method x metric, and method x language of the primary metric where there are several languages."""
    (primary,) = with_role("primary")
    return [board.by_metric(), *([board.by_language(primary)] if len(board.languages) > 1 else [])]


def as_markdown(grid: Grid) -> str:
    """A table in the manner of GitHub; the best of a column and its ties are bold."""
    escape: Callable[[str], str] = lambda words: _one_line(words).translate(_MARKDOWN)  # noqa: E731
    lines = [f"**{escape(grid.title)}**", "", "| | " + " | ".join(map(escape, grid.columns.values())) + " |"]
    lines.append("|" + " --- |" * (1 + len(grid.columns)))
    for label, cells in grid.rows.items():
        shown = (_bold(cells[name], escape(_text(cells[name])), "**{}**") for name in grid.columns)
        lines.append(f"| {escape(label)} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, "", f"95% intervals{'. Bold: the best; ' + grid.note if grid.note else ''}."])


def as_latex(grid: Grid) -> str:
    """A ``table`` environment for booktabs; the best method and its ties are bold.

    Intervals stand below their values. Where there are many metrics or languages, and fewer methods, methods are
    columns; what is still too wide for the page is made smaller (graphicx).
    """
    note = f" Bold: the best; {grid.note}." if grid.note else ""
    head = list(map(latex, grid.columns.values()))
    body = [[latex(label), *(_latex_cell(cells[name]) for name in grid.columns)] for label, cells in grid.rows.items()]
    if len(head) > max(COLUMNS, len(body)):
        across = [["", *head], *body]
        (_, *head), *body = ([row[place] for row in across] for place in range(len(across[0])))
    lines = [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(grid.title)}. 95\% intervals.{latex(note)}}}",
        r"\renewcommand{\arraystretch}{1.4}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        r"\begin{tabular}{l" + "c" * len(head) + "}",
        r"\toprule",
        " & ".join(["", *head]) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in body),
    ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}"])


def as_csv(runs: Sequence[Run]) -> str:
    """One row a number: every metric of every task, on all prompts and on subsets, and the macro-averages."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["file", "run", "prompts", "task", "language", "metric", "value", "low", "high"])
    for run in runs:
        for task in run.tasks.values():
            for name, found in task_row(task).items():
                numbers = ["" if math.isnan(x) else repr(float(x)) for x in (found.value, found.low, found.high)]
                about = [run.path.name, run.label, task.record.prompt_set, task.name, task.record.lang or ""]
                writer.writerow([*map(_plain, about), name, *numbers])
    for board in boards(runs):
        if board.overall in board.languages:
            continue
        for label, rows in board.rows.items():
            for name, found in rows.get(board.overall, {}).items():
                if found is not None and not on_subset(name):
                    numbers = ["" if math.isnan(x) else repr(float(x)) for x in (found.value, found.low, found.high)]
                    about = [board.runs[label].path.name, label, board.about, "", board.overall]
                    writer.writerow([*map(_plain, about), name, *numbers])
    return file.getvalue()


def latex(words: str) -> str:
    """Text that LaTeX takes as it is.

    >>> latex("a_b & 5%")
    'a\\\\_b \\\\& 5\\\\%'
    """
    return "".join(_LATEX.get(sign, sign) for sign in _one_line(words))


def _latex_cell(cell: Cell | None) -> str:
    value, _, interval = _text(cell).partition(" ")
    shown = _bold(cell, latex(value), r"\textbf{{{}}}")
    return rf"\shortstack{{{shown}\\{{\scriptsize {latex(interval)}}}}}" if interval else shown


def _text(cell: Cell | None) -> str:
    return text(None if cell is None else cell.interval)


def _bold(cell: Cell | None, shown: str, form: str) -> str:
    return form.format(shown) if cell is not None and cell.best else shown


def _one_line(words: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in words)


def _plain(words: str) -> str:
    """No formula for a spreadsheet, and no control sign."""
    shown = _one_line(words)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
