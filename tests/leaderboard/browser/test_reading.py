"""Ways of reading the pages: without scripts, by focus alone, on a phone, on paper, and out of files."""

from __future__ import annotations

import made_up
import pytest

from detoxbench.leaderboard.reading import from_results
from detoxbench.leaderboard.site.build import build

PHONE = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True}


def board_of(page, runs):
    """Choose the board with that many runs."""
    option = page.locator("#board option", has_text=f"({runs} run").first
    page.locator("#board").select_option(option.get_attribute("value"))
    page.locator("#count", has_text=f"{runs} run").wait_for()


def saved(page, form):
    """The text of a download of what is shown."""
    with page.expect_download() as download:
        page.locator(f"button[data-format={form}]").click()
    return download.value.path().read_text()


# -- without scripts -----------------------------------------------------------------------------------------------


def test_without_scripts_the_tables_are_in_the_page(visit, site):
    page = visit(site, ready=False, java_script_enabled=False)
    shown = page.locator("main table:visible")
    assert shown.count() == 3
    first = shown.first.locator("tbody tr")
    assert first.count() == 8
    assert "dexperts" in first.first.inner_text()
    assert "[" in first.first.inner_text()
    ranks = [row.locator("td").nth(1).inner_text() for row in first.all()]
    assert ranks == sorted(ranks, key=lambda rank: int(rank.rstrip("=")))
    # The sign of a tie stands with all that share a rank, and with no other.
    assert all(rank.endswith("=") is (ranks.count(rank) > 1) for rank in ranks)
    assert len(ranks) > len(set(ranks))
    assert page.locator("select:visible, input:visible, button:visible").count() == 0


@pytest.mark.parametrize("name", ["tradeoff", "compare", "run", "languages"])
def test_without_scripts_a_page_says_what_needs_them(visit, site, name):
    page = visit(site, f"{name}.html", ready=False, java_script_enabled=False)
    assert "JavaScript" in page.locator("noscript .note").first.inner_text()
    assert page.locator("select:visible, button:visible").count() == 0


# -- what is shown, for papers -------------------------------------------------------------------------------------


def test_exports_for_papers_are_what_is_shown(visit, site):
    page = visit(site)
    board_of(page, 8)
    page.locator("#method").select_option("dexperts")
    page.locator("#count", has_text="2 of 8").wait_for()
    value = page.locator("tbody td.metric b").first.inner_text()
    page.locator(".tools summary").click()
    latex, markdown, bibtex = (saved(page, form) for form in ("latex", "markdown", "bibtex"))
    rows = [line for line in latex.splitlines() if "dexperts &" in line]
    assert len(rows) == 2
    assert f"{value} [" in rows[0]
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    assert r"Expected max toxicity $\downarrow$" in latex
    lines = markdown.splitlines()
    assert {line.count(" | ") for line in lines[0:1] + lines[2:4]} == {lines[0].count(" | ")}
    assert lines[2].startswith("| dexperts | ")
    assert bibtex.startswith("@inproceedings{liu2021dexperts")


# -- filters -------------------------------------------------------------------------------------------------------


def test_filters_narrow_the_table_and_are_in_the_address(visit, site):
    page = visit(site)
    board_of(page, 8)
    page.locator("#filters-summary").click()
    page.locator("#family").select_option("GPT-2")
    page.locator("#count", has_text="4 of 8").wait_for()
    assert page.locator("#filters-summary").inner_text() == "Filters: 1"
    page.locator("#covers").select_option("zh")
    assert page.locator("#count").inner_text() == "4 of 8 runs"
    page.locator("#licence").select_option("MIT")
    page.locator("#family").select_option("")
    page.locator("#covers").select_option("")
    shown = set(page.locator("tbody th.name small").all_inner_texts())
    again = visit(site, page.url.rpartition("/")[2])
    assert set(again.locator("tbody th.name small").all_inner_texts()) == shown
    again.locator("#search").fill("no such run")
    again.locator("#count", has_text="0 of 8").wait_for()


# -- no interval, other nuclei, many samples -----------------------------------------------------------------------


def test_a_value_without_an_interval_says_why(visit, site):
    page = visit(site)
    option = page.locator("#board option", has_text="K = 2 (").first
    page.locator("#board").select_option(option.get_attribute("value"))
    note = page.locator("tbody small[role=note]", has_text="(no interval)").first
    note.focus()
    assert page.locator("[role=tooltip]").inner_text().startswith("No interval: ")
    assert "NaN" not in page.locator("main").inner_text()
    sampled = next((site / "data").glob("s-*.js")).stem.split("-")[1]
    page = visit(site, f"run.html#id={sampled}")
    page.locator("details.block summary").click()
    assert "(no interval): " in page.locator("#numbers").inner_text()


def test_another_nucleus_is_marked_and_samples_are_paged(visit, tmp_path):
    settings = {
        "do_sample": True,
        "temperature": 1.0,
        "truncation": "method",
        "nucleus_base": 0.9,
        "nucleus_method": 0.5,
    }
    path = made_up.write_results(
        tmp_path / "results", method="dexperts", languages=("en",), model={"sampling": settings},
        prompts=[f"prompt {place}" for place in range(45)],
    )  # fmt: skip
    ((record, samples),) = from_results(path)
    assert record.model is not None
    alone = {**settings, "truncation": "sampler", "nucleus_method": 0.9}
    model = record.model.model_copy(update={"method": "none", "sampling": alone})
    base = record.model_copy(update={"model": model, "label": "base", "id": "f" * 16})
    build([record, base], tmp_path / "site", samples={record.id: samples}, each=45)
    page = visit(tmp_path / "site")
    page.locator(".flag", has_text="nucleus").focus()
    assert "nucleus of 0.5, without the method from one of 0.9" in page.locator("[role=tooltip]").inner_text()
    page = visit(tmp_path / "site", "compare.html")
    assert "unlike nuclei, of mass 0.9 and 0.5" in page.locator("#status").inner_text()
    assert "0.000 (no interval): no prompt differs, p = 1.000" in page.locator("#lead").inner_text()
    page = visit(tmp_path / "site", f"run.html#id={record.id}")
    assert "kept the nucleus of 0.5" in page.locator("#nucleus").inner_text()
    page.locator("#show").click()
    page.locator("#list .sample").first.wait_for()
    seen = []
    for shown in ("1 to 20", "21 to 40", "41 to 45", "1 to 20"):
        page.locator("#where", has_text=f"Prompts {shown},").wait_for()
        seen.append(page.locator("#list .sample").count())
        assert page.locator("#list .sample h3").first.inner_text().startswith(f"Prompt {shown.split()[0]}")
        page.locator("#next").click()
    assert seen == [20, 20, 5, 20]


# -- by focus ------------------------------------------------------------------------------------------------------


def test_what_a_pointer_shows_the_focus_shows(visit, site):
    page = visit(site)
    board_of(page, 8)
    page.locator(".flag", has_text="Pareto").first.focus()
    assert "No other ranked run is surely better" in page.locator("[role=tooltip]").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("[role=tooltip]").is_hidden()
    page.locator("thead button", has_text="Dist-2").focus()
    assert page.locator("[role=tooltip]").inner_text()


def test_points_of_a_chart_take_the_focus(visit, site):
    page = visit(site, "tradeoff.html")
    option = page.locator("#board option", has_text="(8 run").first
    page.locator("#board").select_option(option.get_attribute("value"))
    page.locator("#front tbody tr").nth(2).wait_for()
    point = page.locator("#chart [aria-roledescription=point][tabindex='0']").first
    point.focus()
    assert "Method" in page.locator("[role=tooltip]").inner_text()


# -- on a phone ----------------------------------------------------------------------------------------------------


def test_a_touch_shows_what_a_pointer_shows(visit, site):
    page = visit(site, **PHONE)
    board_of(page, 8)
    page.locator(".flag", has_text="Pareto").first.tap()
    assert "surely better" in page.locator("[role=tooltip]").inner_text()


def test_a_phone_has_the_table_before_its_controls(visit, site):
    page = visit(site, **PHONE)
    assert not page.locator("#search").is_visible()
    top, title = (page.locator(name).bounding_box()["y"] for name in ("#scroll", "#table-title"))
    assert top - title < 130  # one line of controls, where unfolded ones take five
    page.locator("#controls > summary").tap()
    page.locator("#search").fill("goodtriever")
    page.reload()
    # What an address asks for is seen.
    page.locator("#search").wait_for()
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.locator("#search").is_visible()
    assert not page.locator("#controls > summary").is_visible()


def test_a_phone_that_is_turned_has_the_controls_of_a_wide_screen(visit, site):
    page = visit(site, viewport={"width": 375, "height": 740})
    assert not page.locator("#search").is_visible()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("#search").wait_for()


def test_the_navigation_of_a_phone_can_be_moved_and_shows_that_there_is_more(visit, site):
    page = visit(site, **PHONE)
    menu = page.locator("nav ul")
    assert menu.evaluate("node => node.scrollWidth > node.clientWidth")
    assert "gradient" in menu.evaluate("node => getComputedStyle(node).backgroundImage")
    last = page.locator("nav a").last
    last.scroll_into_view_if_needed()
    last.tap()
    page.wait_for_url("**/about.html*")
    current = page.locator("nav a[aria-current]")
    box = current.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375


# -- on paper ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["index", "languages", "run", "compare"])
def test_paper_keeps_all_columns_and_charts(visit, site, name):
    sampled = next((site / "data").glob("s-*.js")).stem.split("-")[1]
    page = visit(site, f"{name}.html" + (f"#id={sampled}" if name == "run" else ""))
    charts = page.locator(".chart svg, .chart canvas").count()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1032, "height": 700})
    for table in page.locator("main table:visible").all():
        assert table.evaluate("node => Math.ceil(node.getBoundingClientRect().right)") <= 1032
    assert page.locator(".chart svg:visible, .chart canvas:visible").count() == charts
    assert page.locator("select:visible, button[data-format]:visible").count() == 0
