"""Names, prompts and texts of others are text on every page: nothing of them runs, and nothing of them breaks out."""

from __future__ import annotations

import json

import pytest

PAGES = ("index", "tradeoff", "languages", "compare")


def calm(page):
    """Nothing has run: the scripts in the strings change the title."""
    page.wait_for_timeout(150)
    assert "detoxbench" in page.title()
    injected = "document.querySelectorAll('main img, main b b, main script, main [onerror], main iframe').length"
    assert page.evaluate(injected) == 0
    assert page.evaluate("({}).polluted === undefined && Object.prototype.method === undefined")


@pytest.mark.parametrize("page_name", PAGES)
def test_pages_of_boards(visit, hostile_site, page_name):
    page = visit(hostile_site, f"{page_name}.html")
    calm(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_names_are_shown_as_text(visit, hostile_site):
    page = visit(hostile_site)
    shown = page.locator("tbody").inner_text()
    assert "<img src=x" in shown
    assert "a␀b" in shown
    assert "{{7*7}}" in shown
    assert len(shown) < 5_000
    # Direction marks of a name do not reach the text around it.
    assert "\u202e" not in shown


def test_runs_and_their_samples(visit, hostile_site):
    page = visit(hostile_site)
    links = [link.get_attribute("href") for link in page.locator("tbody th.name div > a").all()]
    assert len(links) == 7
    for link in links[::2]:
        page = visit(hostile_site, link)
        page.locator("#show").click()
        page.locator("#all").click()
        page.locator("#list .text").first.wait_for()
        calm(page)
        assert "<script>document.title='run'</script>" in page.locator("#list").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        page.close()


@pytest.mark.parametrize("name", ["index", "catalog", "method-dexperts", "languages", "tradeoff", "about"])
def test_a_long_word_makes_no_page_wider_than_a_phone(visit, hostile_site, name):
    ready = not name.startswith("method")
    page = visit(hostile_site, f"{name}.html", ready=ready, viewport={"width": 375, "height": 740}, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_long_text_is_folded(visit, hostile_site):
    long = next(path for path in (hostile_site / "data").glob("s-*.js") if "w" * 1000 in path.read_text())
    page = visit(hostile_site, f"run.html#id={long.stem.split('-')[1]}")
    page.locator("#show").click()
    page.locator("#all").click()
    page.locator("#list button", has_text="100,003 characters").first.click()
    assert "w" * 1500 in page.locator("#list .text").first.inner_text()


@pytest.mark.parametrize(
    "fragment",
    [
        "board=<script>alert(1)</script>&q=<img src=x onerror=alert(1)>&sort=__proto__.asc&lang=__proto__&metrics=x",
        "board=__proto__&model=constructor&method=%00&show=-5",
        "sort=" + "x" * 20_000,
    ],
)
def test_hostile_addresses(visit, site, fragment):
    page = visit(site, "index.html#" + fragment)
    calm(page)
    assert page.locator("tbody").count() == 1


def test_downloads_keep_formulas_from_spreadsheets(visit, hostile_site):
    page = visit(hostile_site)
    page.locator(".tools summary").click()
    with page.expect_download() as download:
        page.locator("button[data-format=csv]").click()
    assert ",'=HYPERLINK" in download.value.path().read_text()
    with page.expect_download() as download:
        page.locator("button[data-format=json]").click()
    methods = {row["method"] for row in json.loads(download.value.path().read_text())}
    assert "=HYPERLINK(1)" in methods
    with page.expect_download() as download:
        page.locator("button[data-format=parquet]").click()
    assert download.value.path().read_bytes()[:4] == b"PAR1"
