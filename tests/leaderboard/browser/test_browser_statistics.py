"""The comparison that the browser computes is the one of ``harness.statistics``."""

from __future__ import annotations

import math

import made_up
import numpy as np
import pytest

from detoxbench.core.statistics import benjamini_hochberg, paired_macro_difference


@pytest.fixture(scope="module")
def page(browser, site):
    context = browser.new_context()
    opened = context.new_page()
    opened.goto((site / "compare.html").as_uri())
    opened.locator("body[data-ready=true]").wait_for(state="attached")
    yield opened
    context.close()


def in_browser(page, groups):
    named = [
        dict(zip(("an", "ad", "bn", "bd"), (np.asarray(x).tolist() for x in group), strict=True)) for group in groups
    ]
    return page.evaluate("groups => detoxbench.statistics.difference(groups)", named)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("languages", [1, 3])
def test_differences(page, seed, languages):
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(languages):
        n, d = rng.gamma(1.0, 1.0, 60), rng.integers(0, 5, 60).astype(float)
        other = np.where(d > 0, n + rng.normal(0.1, 0.4, 60), 0.0)
        groups.append((np.where(d > 0, n, 0.0), d, other, d))
    ours, theirs = in_browser(page, groups), paired_macro_difference(groups)
    width = theirs.interval.high - theirs.interval.low
    assert ours["value"] == pytest.approx(theirs.interval.value, rel=1e-9)
    assert ours["low"] == pytest.approx(theirs.interval.low, abs=0.05 * width)
    assert ours["high"] == pytest.approx(theirs.interval.high, abs=0.05 * width)
    assert ours["p"] == pytest.approx(theirs.p_value, abs=0.04)
    assert ours["detectable"] == pytest.approx(theirs.minimum_detectable, rel=0.04)
    assert ours["prompts"] == theirs.interval.prompts


def test_equal_runs_and_few_prompts(page):
    same = np.arange(5.0), np.ones(5), np.arange(5.0), np.ones(5)
    assert in_browser(page, [same])["p"] == 1
    assert in_browser(page, [same])["value"] == 0
    few = np.zeros(3), np.ones(3), np.full(3, 0.5), np.ones(3)
    assert in_browser(page, [few])["p"] == 0.25 == paired_macro_difference([few]).p_value
    nothing = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    assert np.isnan(in_browser(page, [nothing])["value"])


def test_adjusted_p_values(page):
    values = [0.001, 0.04, 0.03, 0.5, 0.04]
    adjusted, _ = benjamini_hochberg(values)
    assert page.evaluate("values => detoxbench.statistics.adjusted(values)", values) == pytest.approx(adjusted.tolist())


@pytest.mark.parametrize("share", [1e-5, 0.02, 0.3, 0.5, 0.975, 0.99999])
def test_normal_quantiles(page, share):
    from statistics import NormalDist

    found = page.evaluate("share => detoxbench.statistics.inverse(share)", share)
    assert found == pytest.approx(NormalDist().inv_cdf(share), abs=2e-5)
    assert page.evaluate("x => detoxbench.statistics.cdf(x)", found) == pytest.approx(share, rel=1e-4)


def test_the_page_says_what_python_says(visit, site, runs):
    a, b = (next(run for run in runs if run.label == f"gpt2-large, {method}") for method in ("none", "dexperts"))
    page = visit(site, f"compare.html#a={a.id}&b={b.id}", ready=False)
    board = page.locator("#board option", has_text="(8 run").first
    page.locator("#board").select_option(board.get_attribute("value"))
    page.locator("#numbers tbody tr").nth(3).wait_for()
    groups = [
        (*one.columns["expected_max_toxicity"].pair(), *other.columns["expected_max_toxicity"].pair())
        for one, other in zip(a.tasks, b.tasks, strict=True)
    ]
    found = paired_macro_difference(groups)
    cells = page.locator("#numbers tbody tr").first.locator("td").all_inner_texts()
    assert float(cells[2].replace("−", "-")) == pytest.approx(found.interval.value, abs=0.0006)
    assert cells[5] == "< 0.001"
    assert cells[8] == str(3 * 25)
    ratios = [(bn.sum() / bd.sum()) / (an.sum() / ad.sum()) for an, ad, bn, bd in groups]
    assert float(cells[3]) == pytest.approx(math.exp(sum(map(math.log, ratios)) / len(ratios)), abs=0.0006)
    assert "dexperts is lower than none" in page.locator("h1").inner_text()
    page.locator("#swap").click()
    page.locator("h1", has_text="none is higher than dexperts").wait_for()
    assert made_up.METRICS[0] not in page.locator("h1").inner_text()
