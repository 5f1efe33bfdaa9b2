"""The page of scorers in a browser: sorted, without scripts, on a phone, on paper; marks on every page of the site."""

from __future__ import annotations

PHONE = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True}


def names(page, table=0):
    return page.locator("table[data-sortable]").nth(table).locator("tbody th").all_inner_texts()


def test_columns_sort_and_the_ceiling_stays_last(visit, site):
    page = visit(site, "scorers.html")
    assert names(page)[0].startswith("better")
    button = page.locator("table[data-sortable] thead button", has_text="Mean").first
    button.click()
    assert names(page)[0].startswith("better")
    assert page.locator("th[aria-sort=descending]").count() == 1
    button.click()
    assert names(page)[0].startswith("guess")
    assert names(page)[-1].startswith("People")
    page.locator("table[data-sortable] thead button", has_text="Scorer").first.click()
    assert page.locator("th[aria-sort]").count() == 1


def test_without_scripts_the_tables_are_there(visit, site):
    page = visit(site, "scorers.html", ready=False, java_script_enabled=False)
    assert names(page)[0].startswith("better")
    assert page.locator("button:visible").count() == 0
    page.locator("summary", has_text="Every figure").first.click()
    assert page.locator("th", has_text="Krippendorff").first.is_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(visit, site):
    page = visit(site, "scorers.html", **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_on_paper_everything_is_there(visit, site):
    page = visit(site, "scorers.html")
    page.emulate_media(media="print")
    assert page.locator("th", has_text="Krippendorff").first.is_visible()
    assert page.locator("thead th", has_text="Mean").first.is_visible()


def test_a_language_that_nobody_has_validated_is_marked_on_every_page(visit, site):
    for name in ("index", "languages", "tradeoff", "compare"):
        page = visit(site, f"{name}.html")
        page.locator("#worth", has_text="‡ not validated in zh").wait_for()
    page = visit(site, "index.html#lang=zh")
    page.locator("thead", has_text="Chinese ‡").wait_for()
    run = page.locator("tbody a").first.get_attribute("href")
    page = visit(site, run)
    page.locator("#worth", has_text="‡ not validated in zh").wait_for()
    page.locator("#numbers th", has_text="Chinese ‡").wait_for(state="attached")
