"""The page of scorers, and marks where a scorer is no better than chance or not validated."""

from __future__ import annotations

import json

import made_up
import made_validity
import pytest

from detoxbench.leaderboard.site import scorers
from detoxbench.leaderboard.site.build import build
from detoxbench.leaderboard.validity import records


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scorers") / "site"
    reports = [
        made_validity.report({("good", "1"): 0.8, ("guess", "1"): 0.0}, ("en", "fr"), groups=True),
        made_validity.report({("<b>bold</b>", "1"): 0.5}, ("en", "fr"), name="hatecheck", title="Hate", sha256="x"),
    ]
    runs = [
        made_up.record("gpt2", name, shift=shift, languages=("en", "fr", "vi"),
                       run={"scorer": scorer, "scorer_version": "1", "prompt_set": "rtp_lx", "scorer_data": ["rtp_lx"]})
        for scorer in ("good", "guess") for name, shift in (("none", 0.0), ("dexperts", -0.3), ("dapt", -0.1))
    ]  # fmt: skip
    build(runs, folder, validity=[records.of_report(one, "here") for one in reports])
    return folder


def text(site, name):
    return (site / name).read_text(encoding="utf-8")


def data(site, name):
    return json.loads(text(site, f"data/{name}.js").partition(", ")[2].rpartition(")")[0])


def test_the_page_has_every_scorer_beside_the_ceiling(site):
    page = text(site, "scorers.html")
    assert page.index(">good<") < page.index(">guess<") < page.index("one annotator against the others")
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold" not in page
    assert "Failure rate by functionality" in page
    assert "False-positive rate by identity" in page
    assert 'class="heat chance"' in page
    assert "0.00 [0" not in page


def test_versions_of_one_scorer_are_told_apart():
    reports = [
        records.of_report(made_validity.report(skills, ("en", "fr"), groups=True), "here")
        for skills in ({("good", "sha256:aaaaaaaaaa"): 0.8, ("guess", "1"): 0.0}, {("good", "sha256:bbbbbbbbbb"): 0.5})
    ]
    view = scorers.view(reports, [], {})
    lines = view["sets"][0]["auc"].rows
    assert [(one.name, one.note) for one in lines if not one.ceiling] == [
        ("good", "version aaaaaaaa"), ("good", "version bbbbbbbb"), ("guess", "")
    ]  # fmt: skip
    assert "Published" not in view["sets"][0]["about"]
    assert view["identities"][0].headings == ["good version aaaaaaaa", "good version bbbbbbbb", "guess"]


def test_what_others_published_of_the_labels_stands_beside():
    published = {"linear_weighted_kappa": {"people": 0.64, "<i>model</i>": 0.22}}
    view = scorers.view(
        [records.of_report(made_validity.report({("good", "1"): 0.8}, published=published), "here")], [], {}
    )
    assert "Linear-weighted kappa on the whole set: people 0.640" in view["sets"][0]["about"]


def test_the_report_that_says_more_of_a_scorer_is_shown():
    short = made_validity.report({("good", "1"): 0.8}, ("en", "fr"))
    for one in [short["scorers"][0]["macro"], *short["scorers"][0]["languages"].values()]:
        del one["figures"]["linear_weighted_kappa"]
    whole = made_validity.report({("good", "1"): 0.8}, ("en", "fr"))
    reports = [records.of_report(one, "here") for one in (short, whole)]
    for order in (reports, reports[::-1]):
        ((_, shown),) = scorers._judged(order)
        assert "linear_weighted_kappa" in shown.macro.figures


def test_rank_stability_is_on_the_page(site):
    page = text(site, "scorers.html")
    assert "good and guess on rtp_lx" in page
    assert "3 runs ranked by" in page


def test_every_board_names_its_scorers_validity_and_marks_languages(site):
    boards = {board["facts"][5][1]: board for board in data(site, "index")["boards"]}
    good, guess = boards["good (toxicity)"], boards["guess (toxicity)"]
    assert good["marks"] == {"vi": "‡"}
    assert guess["marks"] == {"en": "†", "fr": "†", "vi": "‡"}
    assert "no better than chance in en, fr" in guess["worth"]
    assert "† no better than chance in en, fr" in text(site, "index.html")
    assert "vi‡" in text(site, "languages.html")


def test_a_scorers_own_page_has_its_figures_by_language(site):
    page = text(site, "scorer-guess.html")
    assert "Against people’s labels" in page
    assert "en †" in page
    assert "Learned from" not in page or "rtp_lx" in page


def test_shared_data_is_flagged(site):
    assert "shared data" in text(site, "index.html")
    rows = data(site, "b-" + data(site, "index")["boards"][0]["id"])["rows"]
    assert all("RTP-LX" in row["overlaps"][0] for row in rows)


def test_a_site_without_reports_says_how_to_add_one(tmp_path):
    build([made_up.record(languages=("en",))], tmp_path / "site")
    page = text(tmp_path / "site", "scorers.html")
    assert "No validity has been published yet" in page
    assert data(tmp_path / "site", "index")["boards"][0]["marks"] == {"en": "‡"}
