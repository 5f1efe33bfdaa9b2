"""The pages, driven as a person does: sort, filter, share, compare, reveal, download."""

from __future__ import annotations

import csv
import functools
import io
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet
import pytest

PAGES = ("index", "tradeoff", "languages", "compare", "run", "about", "published", "catalog", "contribute")
PHONE = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True}


def sampled(site):
    """The id of the run with samples."""
    return next((site / "data").glob("s-*.js")).stem.split("-")[1]


def board_of(page, runs):
    """Choose the board with that many runs."""
    option = page.locator("#board option", has_text=f"({runs} run").first
    page.locator("#board").select_option(option.get_attribute("value"))
    page.locator("#count", has_text=f"{runs} run").wait_for()


def names(page):
    return page.locator("tbody th.name div > a").all_inner_texts()


def address(page, site):
    """What "copy link" gives, as ``visit`` takes it."""
    return page.url.rpartition("/")[2]


def test_works_below_any_path_of_a_server(visit, site):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site.parents[1])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_address[1]}/some%20where/site"
        page = visit(site, "index.html", base=base)
        page.locator("nav a", has_text="Trade-off").click()
        page.locator("#chart svg").wait_for()
    finally:
        server.shutdown()
        server.server_close()


def test_headings_sort(visit, site):
    page = visit(site)
    board_of(page, 8)
    assert page.locator("th[aria-sort]").inner_text().startswith("Rank")
    best = names(page)
    page.locator("thead button", has_text="Bits per byte").click()
    values = [float(text) for text in page.locator("tbody tr td:nth-child(4) b").all_inner_texts()]
    assert values == sorted(values)
    page.locator("thead button", has_text="Bits per byte").click()
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.locator("thead button", has_text="Rank").click()
    assert names(page) == best


def test_ties_share_a_rank_and_say_so(visit, site):
    page = visit(site)
    board_of(page, 8)
    ranks = page.locator("tbody td.rank").all_inner_texts()
    assert ranks[0].startswith("1")
    assert len(set(ranks)) < len(ranks)
    assert page.locator("tbody td.rank .visually-hidden", has_text="shared").count() > 0


def test_a_view_is_shared_by_its_address(visit, site):
    page = visit(site)
    board_of(page, 8)
    page.locator("#method").select_option("dexperts")
    page.locator("#search").fill("mgpt")
    page.locator("#languages-summary").click()
    page.locator("#languages label", has_text="Arabic").click()
    page.keyboard.press("Escape")
    page.locator("thead button", has_text="Dist-2").first.click()
    page.locator("th[aria-sort]", has_text="Dist-2").first.wait_for()
    assert page.locator("#count").inner_text() == "1 of 8 runs"
    other = visit(site, address(page, site))
    assert other.locator("#count").inner_text() == "1 of 8 runs"
    assert names(other) == ["dexperts"]
    assert other.locator("thead th").all_inner_texts() == page.locator("thead th").all_inner_texts()
    assert "Arabic" in " ".join(other.locator("thead th").all_inner_texts())
    assert other.locator("th[aria-sort]").inner_text() == page.locator("th[aria-sort]").inner_text()


def test_ranks_are_those_of_the_only_language_shown(visit, site):
    page = visit(site)
    board_of(page, 8)
    page.locator("#languages-summary").click()
    page.locator("#languages label", has_text="Chinese").click()
    page.locator("#languages label", has_text="Macro-average").click()
    page.locator("thead th small", has_text="Chinese").first.wait_for()
    assert page.locator("thead th small", has_text="Macro-average").count() == 0
    values = [float(text) for text in page.locator("tbody tr td:nth-child(3) b").all_inner_texts()]
    assert values == sorted(values)


def test_a_judge_of_itself_is_flagged_and_not_ranked(visit, site):
    page = visit(site)
    option = page.locator("#board option", has_text="Qwen").first
    page.locator("#board").select_option(option.get_attribute("value"))
    page.locator(".flag", has_text="self-judged").wait_for()
    assert page.locator("td.rank").inner_text().startswith("–")


def test_downloads_are_what_is_shown(visit, site):
    page = visit(site)
    board_of(page, 8)
    page.locator("#method").select_option("goodtriever")
    page.locator(".tools summary").click()
    found = {}
    for form in ("csv", "json", "parquet"):
        with page.expect_download() as download:
            page.locator(f"button[data-format={form}]").click()
        found[form] = download.value.path().read_bytes()
    rows = json.loads(found["json"])
    assert [row["method"] for row in rows] == ["goodtriever", "goodtriever"]
    lines = list(csv.DictReader(io.StringIO(found["csv"].decode())))
    table = pyarrow.parquet.read_table(io.BytesIO(found["parquet"])).to_pylist()
    for row, line, packed in zip(rows, lines, table, strict=True):
        assert row == packed
        assert {name: "" if value is None else str(value) for name, value in row.items()}.keys() == line.keys()
        assert float(line["dist2 macro"]) == row["dist2 macro"]
    with page.expect_download() as download:
        page.locator("a[data-file=parquet]").click()
    assert pyarrow.parquet.read_table(download.value.path()).num_rows > 100


def test_trade_off_shows_the_front_and_follows_the_language(visit, site):
    page = visit(site, "tradeoff.html")
    option = page.locator("#board option", has_text="(8 run").first
    page.locator("#board").select_option(option.get_attribute("value"))
    page.locator("#front tbody tr").nth(2).wait_for()
    before = page.locator("#front tbody").inner_text()
    page.locator("#language").select_option("zh")
    page.locator("#caption", has_text="Chinese").wait_for()
    assert page.locator("#front tbody").inner_text() != before


def test_heat_map_has_a_cell_for_each_run_and_language(visit, site):
    page = visit(site, "languages.html")
    option = page.locator("#board option", has_text="(8 run").first
    page.locator("#board").select_option(option.get_attribute("value"))
    page.locator("#caption", has_text="6 runs").wait_for()
    cells = page.locator("#chart svg .mark-text.role-mark text").all_text_contents()
    assert len(cells) == 6 * 4
    assert sum(cell.startswith("−") for cell in cells) > 20


def test_samples_come_when_asked_for_and_stay_blurred(visit, site):
    page = visit(site, f"run.html#id={sampled(site)}&lang=ar")
    assert page.locator(f"script[src*='s-{sampled(site)}']").count() == 0
    assert "rude words" not in page.locator("main").inner_text()
    page.locator("#show").click()
    texts = page.locator("#list .text")
    texts.first.wait_for()
    assert texts.count() == 4
    for text in texts.all():
        assert "blur" in text.evaluate("node => getComputedStyle(node).filter")
        assert text.get_attribute("aria-hidden") == "true"
    page.locator("#list .reveal").first.click()
    assert texts.first.evaluate("node => getComputedStyle(node).filter") == "none"
    assert texts.first.get_attribute("aria-hidden") is None
    assert texts.nth(1).get_attribute("aria-hidden") == "true"
    assert texts.first.evaluate("node => getComputedStyle(node).direction") == "rtl"
    page.locator("#language").select_option("en")
    page.locator("#list .text[lang=en]").first.wait_for(state="attached")
    assert page.locator("#list .veiled").count() == 4
    page.locator("#all").click()
    assert page.locator("#list .veiled").count() == 0
    assert "<b>here</b>" in texts.nth(1).inner_text()


def test_the_command_is_on_the_page_of_the_run(visit, site):
    page = visit(site, f"run.html#id={sampled(site)}")
    lines = page.locator("#command").inner_text().splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["lm_eval", "--model_args", "--tasks"]
    assert "pretrained=someone/sampled" in lines[1]


def test_an_unknown_run_is_no_blank_page(visit, site):
    page = visit(site, "run.html#id=../../etc", ready=False)
    assert "Which run?" in page.locator("h1").inner_text()
    page = visit(site, "run.html#id=0123456789abcdef", ready=False)
    page.locator("[role=alert]").wait_for()
    page.problems.clear()


def test_by_keyboard_alone(visit, site):
    page = visit(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("thead button").nth(1).focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").inner_text().startswith("Method")
    # Sorting draws the headings again: the focus stays where it was.
    assert page.evaluate("document.activeElement.dataset.column") == "name"
    page.locator("#languages-summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "checkbox"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "languages-summary"


@pytest.mark.parametrize("page_name", PAGES)
def test_opens_as_a_file_on_a_phone(visit, site, page_name):
    fragment = f"#id={sampled(site)}" if page_name == "run" else ""
    page = visit(site, f"{page_name}.html{fragment}", **PHONE)
    assert page.locator("h1").inner_text()
    for chart in page.locator(".chart").all():
        assert chart.locator("svg, canvas").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_the_theme_is_a_choice_that_charts_follow(visit, site):
    page = visit(site, "tradeoff.html", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    fill = "document.querySelector('#chart .mark-symbol path').getAttribute('fill')"
    before = page.evaluate(ground), page.evaluate(fill)
    page.locator("#theme").click()
    page.locator(":root[data-theme=dark]").wait_for()
    page.wait_for_timeout(300)
    assert page.evaluate(ground) != before[0]
    assert page.evaluate(fill) != before[1]
