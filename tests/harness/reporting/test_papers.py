"""Tables, references and figures for a paper: numbers as measured, the best and its ties bold, names kept whole."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2]))

import gate_files

from detoxbench.core import results
from detoxbench.core.registry import METHODS
from detoxbench.core.statistics import Interval
from detoxbench.harness.cli.commands import app
from detoxbench.harness.reporting import formats, references, tables

DATES = ("2026-01-02T03-04-05.000001", "2026-01-03T03-04-05.000001", "2026-01-04T03-04-05.000001")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base run, one like it but for noise, and one of half its scores; two languages, three samples a prompt."""
    folder, rng = tmp_path_factory.mktemp("papers"), np.random.default_rng(0)
    highest = rng.uniform(0.3, 0.9, size=(2, 30))
    # Half and half with noise that no test can see.
    like = np.clip(highest * 0.5 + rng.normal(0, 0.05, size=highest.shape), 0, 1)
    for name, scores, method, date in zip(
        "abc", (highest, highest * 0.5, like), ("none", "dexperts", "self_debias"), DATES, strict=True
    ):
        gate_files.write(folder / name, scores, method=method, date=date, languages=("en", "fr"), samples=3)
    return [folder / name for name in "abc"]


def runs(folders):
    return [results.read(next(folder.glob("results_*.json"))) for folder in folders]


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)], catch_exceptions=False)


def test_the_best_and_its_ties_are_bold(folders):
    (board,) = tables.boards(runs(folders))
    grid = board.by_metric()
    bold = {label: cells["expected_max_toxicity"].best for label, cells in grid.rows.items()}
    assert bold == {"gpt2, none": False, "gpt2, dexperts": True, "gpt2, self_debias": True}
    assert grid.note == tables.PAIRED
    by_language = board.by_language("expected_max_toxicity")
    assert list(by_language.columns) == ["en", "fr", "macro"]
    assert not by_language.rows["gpt2, none"]["en"].best


def test_without_samples_ties_are_by_overlap_and_the_average_has_no_interval(folders, tmp_path):
    for folder in folders[:2]:
        path = next(folder.glob("results_*.json"))
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (board,) = tables.boards([results.read(path) for path in sorted(tmp_path.glob("*.json"))])
    grid = board.by_metric()
    assert grid.note == tables.OVERLAP
    cells = {label: row["expected_max_toxicity"] for label, row in grid.rows.items()}
    assert [cell.best for cell in cells.values()] == [False, True]
    assert np.isnan(cells["gpt2, none"].interval.low)


def test_one_run_has_nothing_bold(folders):
    shown = report(folders[0], "--format", "markdown").output
    assert "| gpt2, none | 0." in shown
    assert "**0." not in shown


def test_markdown(folders):
    shown = report(*folders, "--format", "markdown").output
    assert "EMT ↓" in shown
    assert "| gpt2, dexperts | **0." in shown
    assert "| gpt2, self\\_debias | **0." in shown


def test_latex_has_as_many_cells_in_each_row_and_no_bare_sign(folders):
    shown = report(*folders, "--format", "latex").output
    assert r"\toprule" in shown
    assert r"\textbf{0." in shown
    assert r"self\_debias" in shown
    for table in shown.split(r"\begin{table}")[1:]:
        body = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len({line.count(" & ") for line in body}) == 1
        assert table.count("{") == table.count("}")


def test_a_wide_table_has_its_methods_side_by_side():
    cell = tables.Cell(Interval(0.5, 0.4, 0.6, "bca", 30, 1000, 0.95), best=True)
    langs = {f"l{number}": f"l{number}" for number in range(8)}
    shown = formats.as_latex(
        tables.Grid("EMT", langs, {"a": dict.fromkeys(langs, cell), "b": dict.fromkeys(langs, None)}, "")
    )
    assert " & a & b" in shown
    assert r"l7 & \shortstack{\textbf{0.500}\\{\scriptsize {[}0.400, 0.600{]}}} & " in shown
    few = formats.as_latex(tables.Grid("EMT", {"l0": "l0"}, {"a": {"l0": cell}, "b": {"l0": None}}, ""))
    assert "\n & l0" in few


@pytest.mark.parametrize(
    ("words", "found"),
    [("50% of a_b & c", r"50\% of a\_b \& c"), ("\\x{1}", r"\textbackslash{}x\{1\}"), ("a\nb\x1b", "a b ")],
)
def test_what_latex_would_read_is_escaped(words, found):
    assert formats.latex(words) == found


def test_csv_has_every_number_as_it_is(folders):
    rows = list(csv.DictReader(io.StringIO(report(*folders, "--format", "csv").output)))
    wanted = runs(folders[:1])[0].tasks["rtp_multilingual_en"].metrics["expected_max_toxicity"]
    (found,) = [
        row
        for row in rows
        if (row["run"], row["language"], row["metric"]) == ("gpt2, none", "en", "expected_max_toxicity")
    ]
    assert float(found["value"]) == wanted
    assert {row["language"] for row in rows} == {"en", "fr", "macro"}


def test_unknown_format(folders):
    done = CliRunner().invoke(app, ["report", str(folders[0]), "--format", "latx"])
    assert "did you mean 'latex'" in str(done.exception)


def test_references_are_of_what_was_used_each_once(folders):
    shown = references.references(runs(folders))
    entries = references.entries_of(shown)
    keys = [entry.partition("{")[2].partition(",")[0] for entry in entries]
    assert len(keys) == len(set(keys))
    assert sum("Evaluating Neural Toxic Degeneration in Language Models" in entry for entry in entries) == 1
    assert sum("Experts and Anti-Experts" in entry for entry in entries) == 1
    assert any("Self-Diagnosis" in entry for entry in entries)
    assert "goodtriever" not in shown.lower()
    assert shown.endswith("% No publication known here: model gpt2, scorer s, fluency model f\n")


def test_every_method_with_a_paper_has_an_entry_that_is_found():
    for name in METHODS:
        text = METHODS[name].about.bibtex
        assert bool(references.unique(references.entries_of(text))) == bool(text)


def test_two_titles_of_one_key_are_told_apart():
    one, other = "@misc{a, title={One}}", "@misc{a, title={Other}}"
    assert references.unique([one, other, one]) == [one, "@misc{a-2, title={Other}}"]


def test_models_of_the_hub_are_cited_by_address():
    assert "huggingface.co/org/some_model" in references._of_scorer("hf:org/some_model")
    assert references._of_scorer("calibrated:perspective->hf:x/y").startswith("@inproceedings{lees")


def test_figures_are_of_three_kinds(folders, tmp_path):
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    report(*folders, "--plots", tmp_path)
    found = {path.name.partition("-")[2] for path in tmp_path.iterdir()}
    assert found == {
        f"{name}.{kind}" for name in ("ranking", "tradeoff", "languages") for kind in ("svg", "png", "pdf")
    }
    assert next(tmp_path.glob("*.pdf")).read_bytes().startswith(b"%PDF")
