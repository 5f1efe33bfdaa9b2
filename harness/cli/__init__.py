"""The command ``detoxbench``, one file a sub-command, imported when it is called."""

from __future__ import annotations

import importlib
import sys

import typer

from ...core.errors import DetoxbenchError

COMMANDS = {
    "archive": ("archive:app", "The score archive: export, import, statistics."),
    "calibrate": ("calibrate:app", "Fit a map from one scorer to another's scale."),
    "score": ("score:score", "Score generation files with one or several scorers; metrics with intervals."),
    "validate": ("validate:validate", "What scorers are worth against people's labels, in every language."),
    "agreement": ("agreement:agreement", "How well scorers agree on one file."),
    "prompts": ("prompts:prompts", "The prompt sets: cards, sizes, licences, revisions; --verify loads one."),
    "compare": ("compare:compare", "Two runs, paired by prompt: differences with intervals, per language."),
    "check": ("check:check", "Regression gate: exit 1 if a candidate is significantly worse than its baseline."),
    "groups": ("groups:groups", "Results per value of a grouping: an axis, a harm category, your column."),
    "leaderboard": ("leaderboard:app", "Results into a static site: RESULTS… --out site/; serve shows it."),
    "continual": ("continual:continual", "One language or domain at a time: a study of continual mitigation."),
    "explain": ("explain:explain", "The next token under a method, and why: distributions, nearest contexts."),
    "fit": ("fit:app", "A method's artifacts from labelled text: datastores, experts, a value model."),
    "import": ("import_:app", "The published systems' own artifacts become ours."),
    "sweep": ("sweep:sweep", "Models x methods x tasks x seeds from one file: what is missing runs, anywhere."),
    "task_vector": ("task_vector:app", "Split-merge stage by stage: select, split, train, merge, negate."),
    "translate": ("translate:translate", "A corpus into another language, with BLEU and chrF++ on a reference."),
    "report": ("report:report", "One compact table of results: language × metric, with intervals."),
}
"""Name -> function in this package, and the line that ``--help`` shows; a name that ends in ``:app`` is a group."""

app = typer.Typer(
    name="detoxbench",
    help="How toxic language models are, in many languages, under any detoxification method.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _root() -> None:
    """Keeps the sub-commands' names even where there is only one."""


def main() -> None:
    """Entry point of the console script: loads the commands and runs the one asked for; exit status 2 for bad input."""
    for name, (target, text) in COMMANDS.items():
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(f".{module}", __package__), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, help=text)
        else:
            app.command(name, help=text)(command)
    try:
        app()
    except DetoxbenchError as error:
        sys.stderr.write(f"detoxbench: {error}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
