"""axe-core's rules: no serious and no critical violation on any page, light or dark."""

from __future__ import annotations

import pytest

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")


@pytest.mark.parametrize(
    "page_name",
    ["index", "tradeoff", "languages", "compare", "run", "about", "published", "catalog", "contribute", "scorers"],
)
def test_no_serious_violation(visit, site, page_name):
    sampled = next((site / "data").glob("s-*.js")).stem.split("-")[1]
    page = visit(site, f"{page_name}.html" + (f"#id={sampled}" if page_name == "run" else ""), color_scheme="light")
    for details in page.locator("details:not(.menu)").all():
        details.evaluate("node => { node.open = true; }")
    if page_name == "run":
        page.locator("#show").click()
        page.locator("#list .reveal").first.click()
    assert serious(page) == []
    page.locator("#theme").click()
    page.locator(":root[data-theme=dark]").wait_for()
    assert serious(page) == []


@pytest.mark.parametrize("begins", ["method-dexperts", "metric-dist2", "model-", "scorer-", "downloads/index"])
def test_pages_of_the_catalogue_have_no_serious_violation(visit, site, begins):
    path = next(iter(sorted(site.glob(f"{begins}*.html"))))
    page = visit(site, path.relative_to(site).as_posix(), ready=False, color_scheme="light")
    assert page.locator("h1").inner_text()
    assert serious(page) == []
    page.locator("#theme").click()
    page.locator(":root[data-theme=dark]").wait_for()
    assert serious(page) == []


def test_a_phone_has_no_serious_violation(visit, site):
    page = visit(site, viewport={"width": 375, "height": 740}, is_mobile=True, has_touch=True)
    page.locator("#controls > summary").click()
    page.locator("#filters-summary").click()
    assert serious(page) == []
    page = visit(site, "scorers.html", viewport={"width": 375, "height": 740}, is_mobile=True, has_touch=True)
    assert serious(page) == []


def serious(page):
    # Without preloading, which asks for the style sheet in a way that pages opened as files may not.
    found = axe.Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0].get('failureSummary', '')}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
