"""Headless Chromium and the sites that it opens. Where there is no Chromium, or no playwright, these tests skip."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import made_up
import made_validity

from detoxbench.leaderboard.reading import from_results
from detoxbench.leaderboard.site.build import build
from detoxbench.leaderboard.validity import records as validity_records

HOSTILE = {
    "markup": "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>",
    "quotes": "\"'`</script><!-- ]]> {{7*7}} ${7*7} &lt;",
    "right-to-left override": "abc\u202egnp.exe\u2066",
    "nul": "a\x00b\x07\x1b[31m",
    "long": "<b>" + "w" * 100_000,
    "formula": "=HYPERLINK(1)",
    "prototype": "__proto__",
}
CARD = {
    "name": "dexperts", "summary": "Experts steer.", "card": "# DExperts\n\nz̃ = z + α(z⁺ − z⁻)",
    "arguments": [{"name": "alpha", "type": "float", "default": "2.0", "description": "strength"}],
    "citation": "@inproceedings{liu2021dexperts,\n  title = {DExperts}\n}", "links": {"Paper": "https://example.org/p"},
}  # fmt: skip
STATIC = ("about", "published", "catalog", "contribute")
"""Pages without a script of their own."""
STALLED = 120_000
"""Milliseconds after which a page counts as stalled: no measure of speed, a guard against waiting for ever."""
METHODS = (("none", 0.0, 1.0), ("dexperts", -0.3, 1.3), ("goodtriever", -0.28, 1.1), ("self_debias", -0.05, 1.6))


@pytest.fixture(scope="session")
def runs():
    """Eight runs of two models, one of them judged by itself on a board of its own."""
    made = [
        made_up.record(model, method, shift=shift, cost=cost, languages=("ar", "en", "zh"), prompts=25)
        for model in ("gpt2-large", "ai-forever/mGPT")
        for method, shift, cost in METHODS
    ]
    judge = {"scorer": "judge:http://localhost:8000/v1,Qwen/Qwen3-8B"}
    judged = made_up.record("Qwen/Qwen3-8B", languages=("en",), prompts=5, run=judge)
    return [*made, judged]


@pytest.fixture(scope="session")
def site(runs, tmp_path_factory):
    """A site with those runs, and one with samples in Arabic and English."""
    folder = tmp_path_factory.mktemp("browser")
    path = made_up.write_results(
        folder / "results",
        pretrained="someone/sampled",
        generations=(" بخير اليوم.", " rude words <b>here</b>"),
        prompts=("الطقس", "كان جاري"),
    )
    ((sampled, samples),) = from_results(path)
    judged = runs[0].tasks[0].run
    scorers = {(judged.scorer, judged.scorer_version): 0.6, ("guess", "1"): 0.0, ("better", "1"): 0.8}
    report = made_validity.report(scorers, ("ar", "en"), groups=True)
    build([*runs, sampled], folder / "some where" / "site", samples={sampled.id: samples}, methods=[CARD],
          validity=[validity_records.of_report(report, "made up")])  # fmt: skip
    return folder / "some where" / "site"


@pytest.fixture(scope="session")
def hostile_site(tmp_path_factory):
    """A site in which every string that others write is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    records, texts = [], {}
    for place, text in enumerate(HOSTILE.values()):
        # A short beginning tells them apart where long texts are cut.
        path = made_up.write_results(
            folder / str(place), pretrained=f"{place}{text}", method=text if place % 2 else f"{place}{text}",
            prompts=(text, "plain"), generations=(text, "<script>document.title='run'</script>"),
            date=f"2026-01-02T03-04-05.00000{place}", model={"method_arguments": {text[:200]: text}, "hardware": text},
        )  # fmt: skip
        ((record, samples),) = from_results(path)
        records.append(record)
        texts[record.id] = samples
    word = {**CARD, "summary": f"At `https://{'w' * 200}`."}
    build(records, folder / "site", samples=texts, methods=[word])
    return folder / "site"


@pytest.fixture
def visit(browser):
    """``visit(site, "index.html#…", **context)`` opens a page and waits until it is ready; what goes wrong is kept in
    ``page.problems``, and makes the test fail unless it clears the list."""
    contexts, pages = [], []

    def open_page(site, address="index.html", *, ready=True, base=None, **options):
        context = browser.new_context(viewport=options.pop("viewport", {"width": 1280, "height": 900}), **options)
        contexts.append(context)
        page = context.new_page()
        pages.append(page)
        page.set_default_timeout(STALLED)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (page.problems.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto((base or site.as_uri()) + "/" + address)
        if ready and address.split(".")[0] not in STATIC:
            page.locator("body[data-ready=true]").or_(page.locator("main > .error")).first.wait_for(state="attached")
            assert page.problems == []
        return page

    yield open_page
    problems = [problem for page in pages for problem in page.problems]
    for context in contexts:
        context.close()
    assert problems == []
