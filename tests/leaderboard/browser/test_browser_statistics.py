"""The comparison that the browser computes is the one of ``core.statistics``."""

from __future__ import annotations

import math

import made_up
import numpy as np
import pytest

from detoxbench.core.statistics import benjamini_hochberg, paired_macro_difference
from detoxbench.leaderboard.compare import geometric_ratio
from detoxbench.leaderboard.site import packing


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


def agree(ours, theirs):
    """The same test of the same scores: apart by the rounding of the normal distribution's approximations alone."""
    assert ours["value"] == pytest.approx(theirs.interval.value, rel=1e-9, abs=1e-12)
    for side in ("low", "high"):
        bound = getattr(theirs.interval, side)
        if math.isfinite(bound):
            assert ours[side] == pytest.approx(bound, rel=1e-5, abs=1e-7)
        else:
            assert not math.isfinite(ours[side])
    assert ours["p"] == pytest.approx(theirs.p_value, rel=1e-4, abs=1e-15)
    assert ours["detectable"] == pytest.approx(theirs.minimum_detectable, rel=1e-6, nan_ok=True)
    assert ours["prompts"] == theirs.interval.prompts
    assert ours["method"] == theirs.interval.method
    assert ours["reason"] == theirs.interval.reason


@pytest.mark.parametrize("prompts", [1, 2, 5, 6, 12, 13, 60, 400])
@pytest.mark.parametrize("languages", [1, 3])
def test_differences(page, prompts, languages):
    rng = np.random.default_rng(prompts)
    groups = []
    for _ in range(languages):
        d = rng.integers(0 if prompts > 12 else 1, 5, prompts).astype(float)
        n = rng.gamma(1.0, 1.0, prompts)
        other = np.where(d > 0, n + rng.normal(0.1, 0.4, prompts), 0.0)
        groups.append((np.where(d > 0, n, 0.0), d, other, d))
    agree(in_browser(page, groups), paired_macro_difference(groups))


@pytest.mark.parametrize(("changed", "back"), [(0, 0), (1, 0), (7, 1), (30, 5), (40, 0)])
def test_shares_are_tested_by_their_signs(page, changed, back):
    # McNemar's exact test: all changes of one size.
    a, b, ones = np.zeros(40), np.zeros(40), np.ones(40)
    b[: changed - back] = 1
    a[changed - back : changed] = 1
    agree(in_browser(page, [(a, ones, b, ones)]), paired_macro_difference([(a, ones, b, ones)]))


def test_far_tails_and_unlike_denominators(page):
    rng = np.random.default_rng(4)
    d, e = rng.integers(1, 25, 300).astype(float), rng.integers(1, 25, 300).astype(float)
    n, m = rng.gamma(2.0, 1.0, 300) * d, rng.gamma(2.0, 1.0, 300) * e
    agree(in_browser(page, [(n, d, m, e)]), paired_macro_difference([(n, d, m, e)]))
    far = (n, d, n + 0.5 * d, d)
    assert in_browser(page, [far])["p"] == pytest.approx(paired_macro_difference([far]).p_value, rel=1e-3)


def test_equal_runs_and_few_prompts(page):
    same = np.arange(5.0), np.ones(5), np.arange(5.0), np.ones(5)
    assert in_browser(page, [same])["p"] == 1
    assert in_browser(page, [same])["value"] == 0
    few = np.zeros(3), np.ones(3), np.full(3, 0.5), np.ones(3)
    found = in_browser(page, [few])
    assert found["p"] == 0.25 == paired_macro_difference([few]).p_value
    assert found["reason"] == "3 prompts: too few for an interval of a difference"
    nothing = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    assert np.isnan(in_browser(page, [nothing])["value"])
    assert in_browser(page, [nothing])["method"] == "undefined"


def test_ratios_are_geometric_means_of_prompts(page):
    rng = np.random.default_rng(2)
    ones = np.ones(30)
    groups = [(rng.lognormal(3, 1, 30), ones, rng.lognormal(3.2, 1, 30), ones) for _ in range(2)]
    named = [dict(zip(("an", "ad", "bn", "bd"), (x.tolist() for x in group), strict=True)) for group in groups]
    found = geometric_ratio(groups).interval
    expected = [math.exp(number) for number in (found.value, found.low, found.high)]
    assert page.evaluate("groups => detoxbench.statistics.geometric(groups)", named) == pytest.approx(
        expected, rel=1e-5
    )


def test_columns_are_unpacked_as_they_were_packed(page):
    rng = np.random.default_rng(0)
    columns = [
        [0.0, 3.0, 63.0],
        rng.gamma(1, 1, 200).tolist(),
        rng.gamma(1, 300, 200).tolist(),
        [-1.0, 0.5],
        [0.0, 1e-7],
    ]
    for column in columns:
        found = page.evaluate("packed => detoxbench.packing.numbers(packed)", packing.pack(column))
        assert found == [float(f"{number:.4g}") for number in column]
    estimates = [(0.123456, 0.1, 0.2), (98765.4, None, None), None, (0.0, 0.0, 1e-9)]
    found = page.evaluate("packed => detoxbench.packing.estimates(packed)", packing.estimates(estimates))
    assert found == [list(one) if one else None for one in estimates]


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


def shown(interval):
    low, high = (f"{number:+.3f}".replace("-", "−") for number in (interval.low, interval.high))
    return f"[{low}, {high}]"


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
    assert cells[3] == shown(found.interval)
    assert cells[4:6] == ["< 0.001", "yes"]
    assert cells[7] == str(3 * 25)
    assert "dexperts is lower than none" in page.locator("h1").inner_text()
    page.locator("#swap").click()
    page.locator("h1", has_text="none is higher than dexperts").wait_for()
    assert made_up.METRICS[0] not in page.locator("h1").inner_text()
