"""Records of scorers' validity: what is kept, what is refused, who looks them up."""

from __future__ import annotations

import copy
import json

import made_validity
import pytest

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.leaderboard.validity import known, records

GOOD, BAD = ("good", "1"), ("guess", "1")


@pytest.fixture(scope="module")
def report():
    return made_validity.report({GOOD: 0.8, BAD: 0.0}, groups=True)


def test_a_record_is_what_the_report_says_and_reads_back(report, tmp_path):
    record = records.of_report(report, "here")
    (path,) = records.append(tmp_path, [record])
    assert records.append(tmp_path, [record]) == []
    again = records.read_kept(path)
    assert again.id == record.id == path.stem
    assert again.model_dump(exclude={"id"}) == record.model_dump(exclude={"id"})
    auc = report["scorers"][0]["languages"]["en"]["figures"]["auc"]
    assert record.scorers[0].languages["en"].figures["auc"].value == pytest.approx(auc["value"], rel=1e-3)


def packaged(labels, part, name, version=None):
    """The scorer in the records that come along, on these labels."""
    return next(
        scorer
        for record in known.packaged()
        if (record.labels.name, record.labels.part) == (labels, part)
        for scorer in record.scorers
        if scorer.name == name and version in (None, scorer.version)
    )


def test_the_records_that_come_along_hold_and_give_the_published_scorers_validity():
    whole = next(one for one in known.packaged() if (one.labels.name, one.labels.part) == ("rtp_lx", None))
    aucs = {scorer.name: scorer.macro.figures["auc"].value for scorer in whole.scorers}
    assert aucs["gpt4"] == pytest.approx(0.855, abs=0.001)
    assert aucs["azure"] == pytest.approx(0.840, abs=0.001)
    assert whole.annotators.macro.figures["auc"].value == pytest.approx(0.888, abs=0.001)
    assert any(one.better_than_chance is False for one in packaged("rtp_lx", "test", "mini").languages.values())


@pytest.mark.parametrize(
    ("labels", "part"), [("rtp_lx", "test"), ("paradetox", "test"), ("davidson", "test"), ("hatecheck", None)]
)
def test_the_embedded_scorer_is_validated_as_it_is(labels, part):
    """New weights need new records, which say what the card says."""
    embedded = scorers.load("ngram")
    auc = packaged(labels, part, embedded.name, embedded.version).macro.figures["auc"]
    assert auc.value == pytest.approx(embedded.card["macro"][labels]["auc"]["value"], abs=1e-3)
    if part == "test":
        assert auc.low > 0.7
    else:
        groups = packaged(labels, part, embedded.name, embedded.version).groups
        assert {"functionality", "identity"} <= set(groups)


def damaged(report, edit):
    wrong = copy.deepcopy(report)
    edit(wrong)
    return wrong


def english(report):
    return report["scorers"][0]["languages"]["en"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda r: english(r)["figures"].update(auc={"value": 1.2, "low": 0.9, "high": 1.3}), "auc is 1.2"),
        (lambda r: english(r)["figures"].update(kappa={"value": -2, "low": None, "high": None}), "kappa is -2"),
        (lambda r: english(r)["figures"].update(f1={"value": 0.5, "low": 0.6, "high": 0.4}), "interval from 0.6"),
        (lambda r: english(r)["figures"].update(f1={"value": None, "low": 0.1, "high": 0.4}), "without a value"),
        (lambda r: english(r).update(better_than_chance=False), "better_than_chance is False"),
        (lambda r: english(r).update(toxic=1_000), "1000 toxic"),
        (lambda r: english(r)["reliability"].pop(), "not of the scored texts"),
        (lambda r: english(r).update(share_unscored=2.0), "share_unscored"),
        (lambda r: r["scorers"][0]["macro"]["figures"]["auc"].update(value=0.71), "macro-average of auc"),
        (lambda r: r["scorers"][0].update(name="a\x1b[31m"), "cannot be printed"),
        (lambda r: r["scorers"][0].update(texts_per_second=-1.0), "texts_per_second"),
        (lambda r: r["scorers"][0]["languages"].pop("en"), "other languages|macro-average"),
        (lambda r: r["scorers"][0].update(key="value"), "key"),
        (lambda r: r.update(schema_version=2), "schema_version"),
        (lambda r: r.update(scorers=[]), "scorers"),
        (lambda r: r["scorers"][0]["groups"]["identity"]["group 0"]["en"]["failure_rate"].update(value=2, high=2),
         "from 0 to 1"),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused(report, edit, words):
    with pytest.raises(DetoxbenchError, match=words):
        records.of_report(damaged(report, edit), "here")


def test_files_that_are_none_say_so(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(DetoxbenchError, match="not JSON"):
        records.read(path)
    assert not records.is_report_file(path)
    path.write_text("[1]")
    with pytest.raises(DetoxbenchError, match="not a report"):
        records.read(path)
    with pytest.raises(DetoxbenchError, match="No such file"):
        records.read(tmp_path / "absent.json")


def test_a_changed_record_is_refused(report, tmp_path):
    (path,) = records.append(tmp_path, [records.of_report(report, "here")])
    path.write_text(path.read_text().replace('"resamples": 60', '"resamples": 61'))
    with pytest.raises(DetoxbenchError, match="changed or renamed"):
        records.read_kept(path)


def test_what_is_known_of_a_scorer_by_language(report):
    record = records.of_report(report, "here")
    good = known.validity([record], *GOOD, ["en", "fr-CA", "xx"])
    assert [one.state for one in good.values()] == ["valid", "valid", "unknown"]
    assert [one.mark for one in good.values()] == ["", "", "‡"]
    assert {one.state for one in known.validity([record], *BAD, ["en", "fr", "ja"]).values()} == {"chance"}
    assert known.validity([record], "good", "2", ["en"])["en"].state == "unknown"  # another version
    said = known.sentence(good.values())
    assert "against people's labels (rtp_lx)" in said
    assert "‡ not validated in xx" in said
    assert known.sentence(known.validity([record], *BAD, ["en", "fr"]).values()).endswith("any language here")


def test_labels_of_hate_say_nothing_of_toxicity(report):
    hate = records.of_report(made_validity.report({GOOD: 0.0}, name="hatecheck"), "here")
    record = records.of_report(report, "here")
    assert known.validity([hate, record], *GOOD, ["en"])["en"].state == "valid"
    assert known.validity([hate], *GOOD, ["en"])["en"].state == "unknown"


def test_a_report_is_json_with_numbers_alone(report):
    json.dumps(report, allow_nan=False)
