"""The built site as files: its policy, its data, its downloads, its size; and the commands around it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import shlex
import threading
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import made_up
import pyarrow.parquet
import pytest
from test_site_packing import unpack
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.leaderboard import app
from detoxbench.leaderboard import submissions as records
from detoxbench.leaderboard.reading import from_results
from detoxbench.leaderboard.site import build as builder
from detoxbench.leaderboard.site import charts, data, downloads, published, serve
from detoxbench.leaderboard.site.build import build
from detoxbench.leaderboard.site.command import command
from detoxbench.leaderboard.site.pages import PAGES
from detoxbench.leaderboard.site.tables import tables
from detoxbench.leaderboard.site.themes import DARK, LIGHT

SITE = Path(builder.__file__).parent


@pytest.fixture(scope="module")
def runs():
    return [
        made_up.record(method=method, shift=shift, languages=("ar", "en"), prompts=12)
        for method, shift in (("none", 0.0), ("dexperts", -0.3), ("goodtriever", -0.28))
    ]


@pytest.fixture(scope="module")
def site(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    path = made_up.write_results(folder / "results", prompts=[f"prompt {i}" for i in range(50)])
    ((record, samples),) = from_results(path)
    build([*runs, record], folder / "out", samples={record.id: samples}, each=7)
    return folder / "out"


def read(site, name):
    text = (site / "data" / f"{name}.js").read_text(encoding="ascii")
    inner = re.fullmatch(r'detoxbench\.put\("([^"]+)", (.*)\);\n', text, re.S)
    assert inner is not None
    assert inner[1] == name
    return json.loads(inner[2])


def test_every_page_is_there_with_its_policy_and_no_inline_script(site):
    for page in PAGES:
        text = (site / page.file).read_text()
        assert "script-src &#39;self&#39;" in text
        assert "unsafe" not in text
        assert all("src=" in tag and ">" in tag for tag in re.findall(r"<script[^>]*>", text))
        assert not re.search(r"<script[^>]*>[^<]", text)
        assert not re.search(r"\son[a-z]+=|\sstyle=", text)


def test_nothing_is_loaded_from_elsewhere(site):
    for page in PAGES:
        text = (site / page.file).read_text()
        for address in re.findall(r'(?:src|href)="([^"#]+)', text):
            if address.startswith("https://"):
                assert re.search(rf'<a href="{re.escape(address)}" rel="noreferrer"', text), address
            else:
                assert not address.startswith(("/", "http:", "//")), address


def test_every_script_that_a_page_asks_for_is_there(site):
    for page in PAGES:
        for address in re.findall(r'<script src="([^"]+)', (site / page.file).read_text()):
            assert (site / address).is_file(), address


def test_what_starts_a_page_is_loaded_last():
    # It starts at once, while scripts after it are still being read.
    scripts = {page.page: page.scripts[-1] for page in PAGES if page.scripts}
    assert scripts.pop("index") == "static/overview.js"
    assert scripts == {page: f"static/{page}.js" for page in scripts}


def test_data_says_what_the_records_say(site, runs):
    index = read(site, "index")
    (board,) = (one for one in index["boards"] if one["runs"] == 3)
    rows = read(site, f"b-{board['id']}")["rows"]
    by_id = {row["id"]: row for row in rows}
    for run in runs:
        for name, estimate in run.macro.items():
            assert by_id[run.id]["macro"][name] == pytest.approx(estimate, rel=1e-4)
    shard = read(site, f"m-{board['id']}-expected_max_toxicity")
    width = len(board["languages"])
    each = iter(unpack(shard["values"]))
    for row, values in zip(rows, ([[next(each) for _ in range(3)] for _ in range(width)] for _ in rows), strict=True):
        run = next(run for run in runs if run.id == row["id"])
        for language, value in zip(board["languages"], values, strict=True):
            task = next(task for task in run.tasks if task.language == language)
            assert value == pytest.approx(task.metrics["expected_max_toxicity"], rel=1e-4)


def test_samples_are_apart_and_as_many_as_asked_for(site):
    paths = sorted((site / "data").glob("s-*.js"))
    shown = {path.stem.rpartition("-")[2]: read(site, path.stem) for path in paths}
    assert {language: len(prompts) for language, prompts in shown.items()} == {"en": 7, "ar": 7}
    assert shown["en"][0]["generations"][1] == [" rude things.", 0.8]
    others = [file for file in (site / "data").glob("*.js") if file not in paths]
    assert not any("rude things" in file.read_text() for file in others)


def test_no_samples_when_none_are_asked_for(tmp_path):
    ((record, samples),) = from_results(made_up.write_results(tmp_path / "results"))
    build([record], tmp_path / "out", samples={record.id: samples}, each=0)
    assert not list((tmp_path / "out" / "data").glob("s-*"))
    assert "rude" not in (tmp_path / "out" / "data" / f"r-{record.id}.js").read_text()


def test_long_texts_are_cut_and_say_so(tmp_path):
    path = made_up.write_results(tmp_path, generations=("x" * 100_000, "y"), languages=("en",))
    ((_, samples),) = from_results(path)
    text, _ = data.shown_samples(samples, 1)["en"][0]["generations"][0]
    assert text == ["x" * data.LONGEST, 100_000]


def test_the_site_without_samples_is_small(site):
    files = [file for file in site.rglob("*") if file.is_file() and not file.name.startswith("s-")]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < 1_500_000


def test_downloads_hold_the_board(site, runs):
    (board,) = (one for one in read(site, "index")["boards"] if one["runs"] == 3)
    table = pyarrow.parquet.read_table(site / "downloads" / f"board-{board['id']}.parquet").to_pylist()
    with (site / "downloads" / f"board-{board['id']}.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(table) == 3 * 3 * len(made_up.METRICS)
    for run in runs:
        (row,) = (r for r in table if (r["run"], r["language"], r["metric"]) == (run.id, "macro", "perplexity"))
        assert (row["value"], row["low"], row["high"]) == run.macro["perplexity"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
def test_no_cell_is_a_formula(text):
    assert downloads.cell(text) == "'" + text


def test_a_site_replaces_a_site_and_nothing_else(runs, tmp_path):
    build(runs[:1], tmp_path / "out")
    build(runs, tmp_path / "out")
    assert json.loads((tmp_path / "out" / builder.MARK).read_text())["runs"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(DetoxbenchError, match="no site"):
        build(runs, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_site_without_runs_says_so(tmp_path):
    assert build([], tmp_path / "out") == []
    assert read(tmp_path / "out", "index")["boards"] == []


def test_vendored_files_are_what_their_list_says():
    folder = SITE / "vendored"
    found = json.loads((folder / "vendored.json").read_text())
    for item in found:
        assert hashlib.sha256((folder / item["file"]).read_bytes()).hexdigest() == item["sha256"]
        assert (folder / item["license_file"]).read_text().strip()
    assert {item["file"] for item in found} == {path.name for path in folder.glob("*.js")}


@pytest.mark.parametrize(("theme", "selector"), [(LIGHT, ":root {"), (DARK, ':root[data-theme="dark"] {')])
def test_charts_and_pages_have_the_same_colours(theme, selector):
    css = (SITE / "static" / "site.css").read_text()
    block = css[css.index(selector) :].split("}")[0]
    for name in ("ink", "muted", "line", "paper", "less"):
        assert f"--{name}: {theme[name]};" in block


# -- commands ------------------------------------------------------------------------------------------------------


def test_the_command_makes_the_run_again():
    words = shlex.split(
        command(made_up.record("me/my model", "dexperts", languages=("en",), prompts=3, intervals=False))
    )
    assert words[:3] == ["lm_eval", "--model", "detox"]
    assert words[words.index("--model_args") + 1] == "pretrained=me/my model,method=dexperts,alpha=2.0"
    assert json.loads(words[words.index("--metadata") + 1])["fluency_model"] == "ai-forever/mGPT"


def test_the_command_quotes_hostile_arguments():
    made = made_up.record("$(rm -rf ~)", "none", languages=("en",), prompts=3, intervals=False,
                          model={"method_arguments": {"a": "x,y=z; echo"}})  # fmt: skip
    words = shlex.split(command(made).replace("\\\n", ""))
    assert json.loads(words[words.index("--model_args") + 1]) == {"pretrained": "$(rm -rf ~)", "a": "x,y=z; echo"}


def test_build_reports_bad_files_and_builds_the_rest(tmp_path):
    made_up.write_results(tmp_path / "results")
    (tmp_path / "results" / "results_2020-01-01T00-00-00.0.json").write_text("{")
    arguments = [str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--records", str(tmp_path / "records")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "left out" in done.output
    assert len(list((tmp_path / "records").glob("*.json"))) == 1
    # The folder alone gives the same board.
    done = CliRunner().invoke(app, ["--records", str(tmp_path / "records"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "0 new records" in done.output


def test_nothing_left_is_an_exit_status(tmp_path):
    (tmp_path / "results_2020-01-01T00-00-00.0.json").write_text("{")
    assert CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out")]).exit_code == 1
    assert isinstance(CliRunner().invoke(app, ["--out", str(tmp_path / "out")]).exception, DetoxbenchError)


def test_serve_shows_a_site_to_this_machine(site):
    server = serve.server(site, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"detoxbench" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/data/")
    finally:
        server.shutdown()
        server.server_close()


def test_serve_wants_a_site(tmp_path):
    with pytest.raises(DetoxbenchError, match="no site"):
        serve.server(tmp_path, 0)


def test_a_port_that_is_taken_is_one_line(site):
    first = serve.server(site, 0)
    try:
        with pytest.raises(DetoxbenchError, match="--port"):
            serve.server(site, first.server_address[1])
    finally:
        first.server_close()


# -- published numbers ---------------------------------------------------------------------------------------------


def test_published_numbers_are_shown_as_printed_and_apart(site):
    figures = published.read()
    assert {figure.paper for figure in figures} <= set(json.loads((published.FOLDER / "papers.json").read_text()))
    assert all(figure.n_samples and figure.source for figure in figures)
    page = (site / "published.html").read_text()
    for value in ("0.527", "32.410", "−0.487", "Perspective (2021)"):
        assert value in page
    assert "DExperts (large)" not in "".join(file.read_text() for file in (site / "data").glob("*.js"))


def test_published_numbers_by_hand():
    (paper,) = (paper for paper in published.papers(published.read()) if paper["name"] == "Liu et al. 2021")
    (table,) = paper["tables"]
    row = next(row for row in table["rows"] if row["method"] == "PPLM")
    assert row["values"] == ["0.520", "0.518", "32.585", "–", "–", "–"]
    assert table["samples"] == "25"


@pytest.mark.parametrize("value", ["", "about half"])
def test_a_figure_is_a_number(value):
    figure = published.read()[0].model_dump() | {"value": value}
    with pytest.raises(ValueError, match="value"):
        published.Figure(**figure)


# -- plots ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(find_spec("vl_convert") is None, reason="vl-convert-python is not installed")
def test_plots_are_written_as_svg_and_png(runs, tmp_path):
    from detoxbench.leaderboard.site import plots

    (table,) = tables(runs)
    written = plots.draw(tmp_path, table)
    assert [path.suffix for path in written] == [".svg", ".png"] * 3
    for path in written:
        start = path.read_bytes()[:8]
        assert start == b"\x89PNG\r\n\x1a\n" if path.suffix == ".png" else start.startswith(b"<svg")
    assert "dexperts" in written[0].read_text()


def test_a_chart_refuses_a_parameter_that_it_has_not():
    with pytest.raises(ValueError, match="no parameter"):
        charts.filled(charts.tradeoff(), [], colour="red")


def test_changed_records_are_left_out(runs, tmp_path):
    (path,) = records.append(tmp_path, runs[:1])
    path.write_text(path.read_text().replace("12", "13"))
    done = CliRunner().invoke(app, ["--records", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "only ever added" in done.output
