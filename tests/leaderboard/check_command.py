"""``detoxbench check``, called in this process."""

import typer
from typer.testing import CliRunner

from detoxbench.harness.cli.check import check as command


def run(baseline, candidate, *options):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    given = ["--baseline", str(baseline), "--candidate", str(candidate), "--no-github", *options]
    return CliRunner().invoke(app, given)
