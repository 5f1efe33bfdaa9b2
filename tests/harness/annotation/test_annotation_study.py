"""From results to a folder for raters, and from their answers to estimates beside the results."""

from __future__ import annotations

import csv
import json
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.annotation import agreement, answers, estimates, files, study
from detoxbench.harness.annotation.texts import read_runs, texts_of
from detoxbench.harness.cli.commands import app
from detoxbench.leaderboard import corrected


def cli(*arguments):
    return CliRunner().invoke(app, ["annotate", *map(str, arguments)], catch_exceptions=False)


def drawn(runs, folder, **options):
    key, items = files.draw(read_runs(runs), options.pop("design", "rating"), options.pop("per_cell", 16), **options)
    files.write(folder, key, items)
    return key


def test_what_raters_get_says_nothing_of_methods_or_scores(runs, tmp_path):
    cli(*runs, "--out", tmp_path / "rate", "--per-cell", 12)
    key = files.read_key(tmp_path / "rate" / "key.json")
    assert {place.run for item in key.items for place in item.texts} == {
        path.name for path in tmp_path.rglob("results_*")
    }
    for name in ("rate.html", "rate.csv"):
        content = (tmp_path / "rate" / name).read_text(encoding="utf-8")
        for secret in ("dexperts", "gpt2", "results_", "stratum", "repeats"):
            assert secret not in content, (name, secret)


def test_a_table_filled_in_is_read_like_the_page(runs, tmp_path, rate):
    key = drawn(runs, tmp_path / "rate")
    (of_page,) = answers.read_all([rate(key, runs, "ann")], key)
    sheet = tmp_path / "rate" / "rate.csv"
    rows = list(csv.DictReader(sheet.read_text(encoding="utf-8-sig").splitlines()))
    with (tmp_path / "ben.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, **of_page.answers[row["id"]]} for row in rows)
    (of_table,) = answers.read_all([tmp_path / "ben.csv"], key)
    assert of_table.answers == of_page.answers
    assert of_table.name == "ben"


def test_a_workbook_filled_in_is_read_like_the_page(runs, tmp_path, rate):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    key = drawn(runs, tmp_path / "rate")
    (of_page,) = answers.read_all([rate(key, runs, "ann")], key)
    path = tmp_path / "rate" / "rate.xlsx"
    book = openpyxl.load_workbook(path)
    head = [cell.value for cell in book.active[1]]
    for row in book.active.iter_rows(min_row=2):
        for name, value in of_page.answers[row[0].value].items():
            row[head.index(name)].value = value
    book.save(path)
    (of_workbook,) = answers.read_all([path], key)
    assert of_workbook.answers == of_page.answers


def test_a_cell_is_never_a_formula(runs, tmp_path):
    import gate_files

    for folder, lang in ((runs[0], "en"), (runs[1], "en")):
        for place in range(40):
            gate_files.change(
                folder, lang, lambda row: row.update(filtered_resps=[["=1+1", "+1", "@a\x00\x1b\ud800"]]), place
            )
    drawn(runs, tmp_path / "rate")
    rows = list(csv.DictReader((tmp_path / "rate" / "rate.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert all(row["text"].startswith("'") for row in rows if row["language"] == "en")
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.load_workbook(tmp_path / "rate" / "rate.xlsx")
    assert {cell.data_type for row in book.active.iter_rows() for cell in row} <= {"s", "n"}


def test_import_writes_beside_the_results_and_leaves_the_key_aside(runs, tmp_path, rate):
    key = drawn(runs, tmp_path / "rate")
    both = [rate(key, runs, "ann", 0.3, 1), rate(key, runs, "ben", 0.3, 2)]
    done = cli(
        "--import", both[0], both[1], tmp_path / "rate" / "key.json", "--key", tmp_path / "rate" / "key.json", *runs
    )
    assert done.exit_code == 0, done.output
    (path,) = runs[1].glob("annotations_rating_*.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [one["name"] for one in found["raters"]] == ["ann", "ben"]
    assert found["texts"] == found["texts_rated"] == 64
    toxic = found["estimates"][found["base"]]["en"]["toxic"]
    assert toxic["labelled"] == 16
    powered = toxic["prediction_powered"]
    assert 0 <= powered["low"] <= powered["value"] <= powered["high"] <= 1
    assert 0 <= powered["weight"] <= 1
    assert found["agreement"]["toxic"]["alpha"]["low"] > 0
    assert found["validity"]["scorers"][0]["macro"]["figures"]["auc"]["value"] > 0.9
    (other,) = [name for name in found["runs"] if name != found["base"]]
    assert found["differences"][other]["macro"]["value"] < 0
    (again,) = study.read(next(runs[1].glob("results_*.json")))
    assert again == found


def test_with_everything_rated_the_share_is_what_people_say(runs, tmp_path, rate):
    key = drawn(runs, tmp_path / "rate", per_cell=120, duplicates=0.0)
    raters = answers.read_all([rate(key, runs, "ann")], key)
    found = study.evaluate(key, raters, read_runs(runs))
    for name, langs in found["estimates"].items():
        for lang in ("en", "ar"):
            rated = [
                raters[0].answers[item.id]["toxic"] >= 3
                for item in key.items
                if item.texts[0].run == name and item.texts[0].task.endswith(lang)
            ]
            assert langs[lang]["toxic"]["prediction_powered"]["value"] == pytest.approx(np.mean(rated))


def test_validity_is_of_the_run_and_not_of_the_sample(runs, tmp_path, rate):
    key = drawn(runs, tmp_path / "rate", duplicates=0.0)
    raters = answers.read_all([rate(key, runs, "ann", 0.3, 1)], key)
    scores = {text.key: text for run in read_runs(runs) for text in texts_of(run)}
    weights, right = [], []
    for item in key.items:
        place = item.texts[0]
        text = scores[place.run, place.task, place.doc_id, place.place]
        if text.lang == "en":
            weights.append(item.stands_for)
            right.append((text.score >= 0.5) == (raters[0].answers[item.id]["toxic"] >= 3))
    assert len(set(weights)) > 1
    found = study.evaluate(key, raters, read_runs(runs))["validity"]["scorers"][0]["languages"]["en"]
    assert found["figures"]["accuracy"]["value"] == pytest.approx(np.average(right, weights=weights))


def test_pairs_give_win_rates_whichever_side_the_texts_were_on(runs, tmp_path, rate):
    key = drawn(runs, tmp_path / "pairs", design="pairs", per_cell=20)
    found = study.evaluate(key, answers.read_all([rate(key, runs, "ann")], key), read_runs(runs))
    rates = {(one["question"], one["language"]): one for one in found["win_rates"]}
    base, other = rates["less_toxic", "all"]["a"], rates["less_toxic", "all"]["b"]
    assert found["runs"][base].endswith("none")
    assert found["runs"][other].endswith("dexperts")
    assert rates["less_toxic", "en"]["value"] > 0.6
    assert rates["less_toxic", "all"]["pairs"] == 40
    assert rates["more_fluent", "all"]["value"] == 0.5


def test_the_report_shows_what_people_said(runs, tmp_path, rate):
    key = drawn(runs, tmp_path / "rate")
    cli("--import", rate(key, runs, "ann", 0.3, 1), "--key", tmp_path / "rate" / "key.json", *runs)
    shown = CliRunner().invoke(app, ["report", str(runs[1])], catch_exceptions=False).output
    assert "1 rater, 64 of 64 texts" in shown
    assert "prediction-powered" in shown
    as_json = json.loads(CliRunner().invoke(app, ["report", "--json", str(runs[1])]).output)
    assert as_json[0]["annotations"][0]["study"] == key.study


def test_a_stratum_that_nobody_rated_gives_a_reason_and_no_number(runs, tmp_path, rate):
    key = drawn(runs, tmp_path / "rate", per_cell=30)
    path = rate(key, runs, "ann")
    content = json.loads(path.read_text(encoding="utf-8"))
    low = {item.id for item in key.items if item.stratum.startswith("0-")}
    content["answers"] = {
        name: one if name not in low else {"skipped": True} for name, one in content["answers"].items()
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    found = study.evaluate(key, answers.read_all([path], key), read_runs(runs))
    assert "0 are rated" in found["estimates"][found["base"]]["en"]["toxic"]["reason"]
    assert found["raters"][0]["skipped"] == len(low)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"study": "0" * 16}, "answers to sample"),
        ({"answers": {"t9999": {"toxic": 1}}}, "no text 't9999'"),
        ({"answers": {"t0001": {"toxic": 6}}}, "whole numbers 1 to 5"),
        ({"answers": {"t0001": {"toxic": True}}}, "whole numbers 1 to 5"),
        ({"answers": {"t0001": {"rude": 1}}}, "no question 'rude'"),
        ({"answers": {}}, "nobody has answered"),
        ({"kind": "?"}, "not what the page"),
    ],
)
def test_answers_that_are_none(runs, tmp_path, rate, change, words):
    key = drawn(runs, tmp_path / "rate")
    path = rate(key, runs, "ann")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(DetoxbenchError, match=words):
        answers.read_all([path], key)


def test_results_that_changed_since_are_refused(runs, tmp_path, rate):
    import gate_files

    key = drawn(runs, tmp_path / "rate", per_cell=120)
    raters = answers.read_all([rate(key, runs, "ann")], key)
    gate_files.change(runs[0], "en", lambda row: row.update(filtered_resps=[["changed", "changed", "changed"]]))
    with pytest.raises(DetoxbenchError, match="not the text that was shown"):
        study.evaluate(key, raters, read_runs(runs))
    with pytest.raises(DetoxbenchError, match="give the results that it was drawn from"):
        study.evaluate(key, raters, read_runs(runs[:1]))


def test_the_key_of_another_sample_is_not_overwritten(runs, tmp_path):
    drawn(runs, tmp_path / "rate")
    drawn(runs, tmp_path / "rate")
    with pytest.raises(DetoxbenchError, match="key of another sample"):
        drawn(runs, tmp_path / "rate", seed=5)


def test_agreement_of_raters_who_agree_and_of_one():
    same = np.repeat([[1.0], [3], [5], [2]], 2, axis=1)
    found = agreement.agreement(same, range(4))
    assert found["alpha"]["value"] == found["kappa"]["value"] == 1.0
    alone = agreement.agreement(same[:, :1], range(4))
    assert (alone["texts"], alone["alpha"]["value"]) == (0, None)
    constant = agreement.agreement(np.full((4, 2), 3.0), range(4))
    assert constant["kappa"]["value"] is None


def test_kappa_by_hand():
    # One minus the mean squared difference over what the margins alone give.
    one, other = np.array([1.0, 1, 3, 3]), np.array([1.0, 2, 3, 2])
    observed = ((one - other) ** 2).mean()
    expected = np.mean([(a - b) ** 2 for a in one for b in other])
    found = agreement.agreement(np.stack([one, other], axis=1), range(4))
    assert found["kappa"]["value"] == pytest.approx(1 - observed / expected)


def test_self_agreement():
    first, second = np.array([[1.0, 5], [2, 4], [3, np.nan]]), np.array([[1.0, 5], [3, 4], [3, 1]])
    found = agreement.self_agreement(first, second, range(3))
    assert found["answers"] == 5
    assert found["same"]["value"] == pytest.approx(0.8)
    assert agreement.self_agreement(np.empty((0, 2)), np.empty((0, 2)), [])["same"]["value"] is None


def test_win_rate_counts_ties_half():
    found = estimates.win_rate([3, 3, 2, 1], range(4))
    assert found["value"] == pytest.approx(0.625)
    assert (found["wins"], found["ties"], found["losses"]) == (2, 1, 1)


def test_a_workbook_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    monkeypatch.setattr(files, "LARGEST_WORKBOOK", 10_000)
    path = tmp_path / "rate.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 1_000_000)
    with pytest.raises(DetoxbenchError, match="unpacked it has 1,000,000 bytes, more than 10,000"):
        files.workbook_rows(path)


def test_differences_of_a_few_labels_stay_possible(runs, tmp_path, rate):
    """With few labels an interval reaches further than shares can differ; records would refuse it."""
    key = drawn(runs, tmp_path / "rate", per_cell=8)
    raters = [rate(key, runs, name, 2.0, seed) for seed, name in enumerate(("ann", "ben"))]
    found = study.evaluate(key, answers.read_all(raters, key), read_runs(runs))
    study.write(found, read_runs(runs))
    for langs in found["differences"].values():
        for one in langs.values():
            assert all(-1 <= one[end] <= 1 for end in ("value", "low", "high") if one[end] is not None)
    for folder in runs:
        (run,) = read_runs([folder])
        corrected.shares(run, ())
    corrected.differences(*read_runs(runs), ())


def test_a_study_that_says_what_cannot_be_is_left_out_by_name(runs, tmp_path, rate, caplog):
    key = drawn(runs, tmp_path / "rate")
    found = study.evaluate(key, answers.read_all([rate(key, runs, "ann")], key), read_runs(runs))
    found["estimates"][found["base"]]["en"]["toxic"]["prediction_powered"]["low"] = -3.0
    path, *_ = study.write(found, read_runs(runs))
    (base, _) = read_runs(runs)
    assert corrected.shares(base, ()) == {}
    assert f"left out: '{path}' is not what detoxbench annotate --import wrote" in caplog.text
    with pytest.raises(DetoxbenchError, match=r"low'?: Input should be greater than or equal to 0"):
        study.read(base.path)
