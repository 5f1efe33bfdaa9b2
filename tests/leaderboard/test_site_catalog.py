"""Pages of methods, models, metrics and scorers; what stands in the pages without scripts; words and cards."""

from __future__ import annotations

import made_up
import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.leaderboard.site import cards, charts, continual, figures, models, nuclei
from detoxbench.leaderboard.site.build import build
from detoxbench.leaderboard.site.command import command

CARD = {
    "name": "dexperts", "kind": "logit", "summary": "Experts steer.", "card": "# DExperts\n\n*z* <script>x()</script>",
    "arguments": [{"name": "alpha", "default": "2.0", "description": "strength"}], "citation": "@inproceedings{liu}",
    "links": {"Read it": "https://example.org/paper", "bad": "javascript:x()"},
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("catalog") / "site"
    runs = [
        made_up.record(method=method, shift=shift, languages=("en",), prompts=12)
        for method, shift in (("none", 0.0), ("dexperts", -0.4), ("<b>x/../y", -0.1))
    ]
    build(
        [*runs, made_up.record("mini", languages=("en",), prompts=4)], out, methods=[CARD], url="https://example.org/a"
    )
    return out


def test_every_method_model_metric_and_scorer_has_a_page_that_the_catalogue_links(site):
    catalog = (site / "catalog.html").read_text()
    for name in ("method-dexperts", "method-none", "metric-dist2", "model-mini"):
        assert (site / f"{name}.html").is_file()
        assert f'href="{name}.html"' in catalog
    assert len(list(site.glob("scorer-*.html"))) == 1
    assert all(path.resolve().parent == site.resolve() for path in site.glob("method-*"))


def test_a_card_is_text_and_never_markup_of_its_own(site):
    page = (site / "method-dexperts.html").read_text()
    assert "<em>z</em> &lt;script&gt;x()" in page
    assert "@inproceedings{liu}" in page
    assert "javascript:" not in page
    assert "<script>x" not in page


def test_the_tables_stand_in_the_pages(site):
    page = (site / "index.html").read_text()
    assert "12 × 25" in page
    assert "&lt;b&gt;x/../y" in page
    assert "Embedded models only" in page
    assert "<noscript>" in page
    assert 'property="og:url" content="https://example.org/a/index.html"' in page
    assert "references.bib" in (site / "downloads" / "index.html").read_text()


def test_markdown_keeps_no_picture_and_no_path():
    assert "<img" not in cards.markdown("![x](https://example.org/x.png)")
    assert "href" not in cards.markdown("[here](../secret.md)")
    assert 'rel="noreferrer"' in cards.markdown("[there](https://example.org)")


def test_a_damaged_card_is_one_line():
    with pytest.raises(DetoxbenchError, match="card is damaged"):
        cards.read([{"name": "x", "surprise": 1}])


def test_one_precision_a_column():
    assert figures.places([0.1, None, 0.9]) == 3
    assert figures.places([0.1, 12.0]) == 1
    assert figures.places([]) == 3
    assert figures.estimate((0.5, 0.25, 0.75), 2) == "0.50 [0.25, 0.75]"
    assert figures.estimate((None, None, None), 2) == "–"
    assert figures.signed(-0.5, 1) == "−0.5"


def test_colours_do_not_follow_one_outlier():
    assert charts.reach_of([0.1, -0.2, 0.2, -0.1, 0.15, 24.0]) < 1
    assert charts.reach_of([0.3, -0.3]) == 0.3
    assert charts.reach_of([]) == 1.0
    assert charts.reach_of([0.0, 0.0]) == 1.0


def test_a_limited_run_is_made_again_with_its_limit():
    assert "--limit 8" in command(made_up.record(languages=("en",), prompts=8, of=40, intervals=False))
    assert "--limit" not in command(made_up.record(languages=("en",), prompts=8, of=8, intervals=False))


@pytest.mark.parametrize(
    ("used", "own", "expected"),
    [(1.0, 0.9, "method itself kept the nucleus of 0.9"),
     (1.0, None, "asked for top-p 0.9; the texts were drawn with top-p 1"),
     (0.9, None, "sampler kept the nucleus of 0.9"),
     (0.9, 0.8, "sampler kept 0.9 of what came of it")],
)  # fmt: skip
def test_the_nucleus_in_force_is_said(used, own, expected):
    model = {"sampling": {"top_p": used}, "effective_arguments": {} if own is None else {"filter_p": own}}
    assert expected in nuclei.words(made_up.record(languages=("en",), prompts=3, intervals=False, model=model))


def test_models_say_what_their_names_say():
    assert models.facts("gpt2-large").licence == "MIT"
    assert models.facts("owner/some-7b").size == "1B to 10B"
    assert models.facts("owner/some-350M").size == "below 1B"
    assert models.facts("/home/me/mine").parameters is None


def test_a_cell_of_a_study_without_an_interval_says_so():
    entry = {"value": -0.25, "low": None, "high": None, "p": 0.25}
    assert continual._cell(entry, 0.5, False) == {"text": "-0.250", "range": "no interval", "css": "heat better-2"}
    assert continual._cell({**entry, "low": -0.5, "high": 0.1}, 0.5, False)["range"] == "-0.500, +0.100"
    assert continual._cell(None, 0.5, False)["range"] == ""
