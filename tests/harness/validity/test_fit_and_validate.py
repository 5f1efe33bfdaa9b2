"""``detoxbench fit scorer`` and ``detoxbench validate``, from files to figures."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import ngram_features
from detoxbench.core.validity.labelled import LabelledText
from detoxbench.core.validity.split import part_of
from detoxbench.harness import validation
from detoxbench.harness.cli import validity_plot
from detoxbench.harness.cli.fit_scorer import scorer as fit_scorer
from detoxbench.harness.cli.validate import validate
from detoxbench.harness.scorer_training import examples as data
from detoxbench.harness.scorer_training import ngram

RUDE = {"fr": ("idiot", "crétin"), "de": ("idiot", "trottel")}
KIND = {"fr": ("jardin", "soleil", "pain"), "de": ("garten", "sonne", "brot")}


def rows(clusters=400, langs=("fr", "de")):
    draw = random.Random(1)
    found = []
    for cluster in range(clusters):
        toxic = draw.random() < 0.4
        for lang in langs:
            words = [draw.choice(KIND[lang]) for _ in range(4)] + ([draw.choice(RUDE[lang])] if toxic else [])
            ratings = [draw.choice((3, 4, 5)) if toxic else draw.choice((1, 2)) for _ in range(3)]
            found.append({
                "text": " ".join(draw.sample(words, len(words))), "lang": lang, "annotators": ratings,
                "cluster": f"own/{cluster}", "gpt4": 5 if toxic else 1, "half": 0.5 if cluster else None,
            })  # fmt: skip
    return found


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def fitted(labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp("fitted") / "scorer"
    fit_scorer([str(labelled)], out)
    return out


def test_fit(labelled, fitted, tmp_path):
    scorer = scorers.load(f"ngram:{fitted}")
    assert scorer.languages == {"fr", "de"}
    assert scorer.card["alone"] == []
    low, high = scorer.score(["jardin soleil pain", "soleil idiot pain"], "fr").values["toxicity"]
    assert low < 0.3
    assert high > 0.7
    auc = scorer.validity["fr"]["file"]["figures"]["auc"]
    assert auc["value"] > 0.95
    assert scorer.card["sources"][0]["licence"] == "yours"
    assert scorer.card["texts"]["test"] == sum(part_of(row["cluster"]) == "test" for row in rows())
    assert set(load_file(fitted / "weights.safetensors")) == {"columns", "weights", "scales"}
    page = (fitted / "README.md").read_text()
    assert "| fr | file (test) |" in page
    assert "(yours)" in page
    again = tmp_path / "again"
    fit_scorer([str(labelled)], again)
    assert scorers.load(f"ngram:{again}").version == scorer.version
    with pytest.raises(DetoxbenchError, match="exists already"):
        fit_scorer([str(labelled)], again)
    with pytest.raises(DetoxbenchError, match="unknown kind of scorer 'ngrams': did you mean 'ngram'"):
        fit_scorer([str(labelled)], tmp_path / "other", kind="ngrams")


def test_checks_are_apart(labelled, tmp_path):
    """What it is measured on beside its own sets says nothing of its validity in the language."""
    cases = tmp_path / "french.csv"
    cases.write_text(
        "functionality,test_case,label_gold,target_ident,templ_id\n"
        "ident_neutral_nh,soleil pain,non-hateful,women,1\nderog_neg_emote_h,jardin,hateful,women,2\n",
        encoding="utf-8",
    )
    fit_scorer([str(labelled)], tmp_path / "out", check=[f"hatecheck={tmp_path}"], penalty=[0.1])
    card = scorers.load(f"ngram:{tmp_path / 'out'}").card
    assert set(card["validity"]["fr"]) == {"file"}
    assert card["checks"]["fr"]["hatecheck"]["part"] == "all"
    assert card["identities"]["hatecheck"]["women"]["fr"]["value"] == 0
    assert "| women | 0.00 |" in (tmp_path / "out" / "README.md").read_text()


def test_too_little_to_fit_on(tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(30)), encoding="utf-8")
    with pytest.raises(DetoxbenchError, match="texts in the calibration part"):
        fit_scorer([str(path)], tmp_path / "few")


def test_regression_has_no_gradient_left():
    """At the optimum the penalty holds every weight: penalty * w = X^T (t - p)."""
    from scipy import sparse

    rng = np.random.default_rng(0)
    x = sparse.csr_matrix(rng.random((60, 5)))
    targets, owners = rng.random(60), rng.integers(0, 2, 60)
    weights, offsets = ngram.regression(x, targets, np.ones(60), owners, 0.5, 500)
    rest = targets - 1 / (1 + np.exp(-(x @ weights + offsets[owners])))
    np.testing.assert_allclose(x.T @ rest, 0.5 * weights, atol=0.02)
    np.testing.assert_allclose(np.bincount(owners, rest), 0, atol=0.05)


def test_targets_of_translations():
    def text(cluster, lang, label):
        return LabelledText("a", lang, label, label >= 0.5, cluster)

    found = data.of([[text("1", "fr", 1.0), text("1", "de", 0.0), text("2", "fr", 0.0), text("3", "de", 0.4)]])
    # Means: fr 0.5, de 0.2. Cluster 1 is 0.5 above in fr and 0.2 below in de: 0.15 above on average.
    np.testing.assert_allclose(data.shared(found, 0.5), [(1 + 0.65) / 2, 0.35 / 2, 0, 0.4])
    np.testing.assert_allclose(data.shared(found, 0.0), found.targets)
    assert data.families(found) == [("de", "fr")]
    apart = data.of([[text("1", "fr", 1.0), text("2", "de", 0.0)]])
    assert data.families(apart) == [("de",), ("fr",)]


def test_bounded_weights_are_at_most_0_and_the_others_optimal_beside_them():
    from scipy import sparse

    rng = np.random.default_rng(0)
    x = sparse.csr_matrix(rng.random((60, 5)))
    targets, owners = x.toarray()[:, 0], np.zeros(60, dtype=int)
    free, _ = ngram.regression(x, targets, np.ones(60), owners, 0.5, 500)
    assert free[0] > 0.5
    weights, offsets = ngram.regression(x, targets, np.ones(60), owners, 0.5, 500, np.array([0]))
    rest = targets - 1 / (1 + np.exp(-(x @ weights + offsets[owners])))
    assert weights[0] == 0
    assert (x.T @ rest)[0] > 0  # the data would have it larger
    np.testing.assert_allclose((x.T @ rest)[1:], 0.5 * weights[1:], atol=0.05)


def test_rarity():
    from scipy import sparse

    x = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    found = ngram.rarity(x)
    # In 3, 1 and 0 of 4 texts; an n-gram that no text has counts as one that one text has.
    np.testing.assert_allclose(found / found[1], np.log1p([4 / 3, 4, 4]) / np.log1p(4), rtol=1e-6)
    texts = np.array([3, 1, 1])
    np.testing.assert_allclose((texts * found**2).sum() / texts.sum(), 1, rtol=1e-6)


def test_names_of_groups():
    """All n-grams of three characters and more of theirs, but those that many texts have."""
    name, other = data.groups("fr")[0], "crétin"
    own = set(ngram_features.features([name], "fr", True, ngram.NAMED)[1].tolist())
    x = ngram.matrix([other] * 99 + [name], np.array(["fr"] * 100), True)
    found = set(ngram.names(["fr"], True, x, 0.02).tolist())
    assert own <= found
    assert not found & (set(ngram_features.features([other], "fr", True)[1].tolist()) - own)
    everywhere = ngram.matrix([name] * 100, np.array(["fr"] * 100), True)
    assert not own & set(ngram.names(["fr"], True, everywhere, 0.02).tolist())


def test_the_name_of_a_group_does_not_count_as_toxic():
    """Where all texts with the name of a group are toxic, what else they say carries it."""
    name = data.groups("fr")[0]
    texts = [
        LabelledText(text, lang, label, label >= 0.5, f"{number}")
        for number in range(40)
        for text, label in [(f"{name} crétin" if number % 4 == 0 else "jardin soleil", float(number % 4 == 0))]
        for lang in ("fr", "de")
    ]
    examples = data.of([texts])
    x = ngram.matrix(examples.texts, examples.langs, True)
    settings = ngram.Settings(identities=0.0, common=0.5, topics=4)
    parts = list(set(examples.parts.tolist()))
    free = ngram.table_of(examples, parts, x, replace(settings, common=0.0), 0.1, True)
    table = ngram.table_of(examples, parts, x, settings, 0.1, True)
    named = ngram.names(["de", "fr"], True, x, settings.common)
    assert free[named].max() > 0
    assert table[named].max() <= 0
    margins = ngram.margins_of([f"{name} crétin", "jardin soleil", name], "fr", table)
    assert margins[0] > margins[1]
    assert margins[2] < ngram.margins_of([name], "fr", free)[0]


def test_neutral_sentences_name_groups_in_every_language():
    langs = sorted(scorers.load("ngram").languages)
    found = data.identities(langs)
    assert {lang for _, lang in found} == set(langs)
    assert all("{" not in text for text, _ in found)


def test_validate(labelled, fitted, capsys, tmp_path):
    columns = ["gpt4=gpt4:1-5", "half=half"]
    validate(str(labelled), [f"ngram:{fitted}"], columns, part="test", resamples=100, as_json=True,
             archive=str(tmp_path / "scores.sqlite"), out=tmp_path / "found.json")  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "found.json").read_text())
    gpt4, half, own = found["scorers"]
    assert gpt4["languages"]["fr"]["figures"]["auc"]["value"] == 1
    assert half["languages"]["fr"]["figures"]["auc"]["value"] == 0.5
    assert half["languages"]["fr"]["better_than_chance"] is False
    assert own["macro"]["figures"]["auc"]["value"] > 0.95
    assert found["annotators"]["macro"]["figures"]["alpha_ordinal"]["value"] > 0.5
    assert found["labels"]["part"] == "test"
    assert len(found["comparisons"]) == 3
    # A second run reads the archive, and says the same.
    validate(str(labelled), [f"ngram:{fitted}"], columns, part="test", resamples=100, as_json=True,
             archive=str(tmp_path / "scores.sqlite"), offline=True)  # fmt: skip
    again = json.loads(capsys.readouterr().out)
    for one in (*found["scorers"], *again["scorers"]):
        one.pop("texts_per_second", None)  # here the archive's
    assert again == found


def test_table_and_warning(labelled, fitted, capsys):
    validate(str(labelled), [f"ngram:{fitted}"], resamples=100, lang=["fr"], limit=50)
    printed = capsys.readouterr()
    assert "was fitted on 'file'" in printed.err
    assert "each annotator against the others" in printed.out
    validate(str(labelled), ["mini"], ["half=half"], resamples=100, limit=30)
    assert "no better than chance" in capsys.readouterr().out


def test_unsupported_languages_are_unscored_and_counted(tmp_path, capsys):
    path = tmp_path / "sw.jsonl"
    path.write_text(json.dumps({"text": "habari", "label": 0, "lang": "sw"}) + "\n")
    validate(str(path), ["ngram"], resamples=100, as_json=True)
    one = json.loads(capsys.readouterr().out)["scorers"][0]
    assert one["languages"]["sw"]["share_unscored"] == 1
    assert sum(one["reasons"].values()) == 1


def test_a_limit_takes_a_sample_and_not_the_beginning(tmp_path, capsys):
    """Of a file that is sorted by label, both kinds; of all languages, the same translations."""
    rows = [
        {"text": f"jardin {n}", "label": int(n < 60), "lang": lang, "cluster": f"own/{n}"}
        for n in range(120)
        for lang in ("fr", "de")
    ]
    path = tmp_path / "sorted.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    validate(str(path), ["ngram"], resamples=100, limit=30, as_json=True)
    found = json.loads(capsys.readouterr().out)["scorers"][0]["languages"]
    assert [one["texts"] for one in found.values()] == [30, 30]
    assert 5 < found["fr"]["toxic"] < 25
    assert found["fr"]["toxic"] == found["de"]["toxic"]


def test_what_is_refused(labelled):
    for arguments, message in (
        ({}, "nothing to validate"),
        ({"scorer": ["mini"], "part": "tests"}, "did you mean 'test'"),
        ({"column": ["gpt4"]}, "give NAME=FIELD"),
        ({"column": ["gpt4=gpt4"]}, "are not on the scale 0 to 1"),
        ({"column": ["x=nothing"]}, "no text has a number"),
    ):
        with pytest.raises(DetoxbenchError, match=message):
            validate(str(labelled), resamples=100, **arguments)


def test_published_columns():
    texts = [LabelledText("a", "fr", 0, False, str(n), columns={"x": v}) for n, v in enumerate([1, 5, np.nan] * 100)]
    texts.append(LabelledText("a", "fr", 0, False, "off", columns={"x": 0}))
    column = validation.Published.parse("gpt=x:1-5").column(texts)
    assert column.scores[:2].tolist() == [0, 1]
    assert np.isnan(column.scores[[2, -1]]).all()
    assert column.about["reasons"] == {"off the scale": 1, "no number": 100}
    with pytest.raises(DetoxbenchError, match="for another scale"):
        validation.Published.parse("x=y:5-1")


def test_charts(labelled, fitted, tmp_path):
    pytest.importorskip("vl_convert")
    validate(str(labelled), [f"ngram:{fitted}"], ["gpt4=gpt4:1-5"], resamples=100, part="test", plot=tmp_path / "plots")
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {f"validity-{one}.{end}" for one in ("auc", "reliability") for end in ("svg", "png")}
    assert "one annotator" in (tmp_path / "plots" / "validity-auc.svg").read_text()
    assert validity_plot.SCALE == 2


def test_published_scores_on_rtp_lx(samples_folder, capsys):
    """Near the published figures of another part: GPT-4 0.836, Azure 0.819, one annotator against the others 0.88."""
    folder = samples_folder / "rtp_lx_labels"
    if not folder.is_dir():
        pytest.skip("no rtp_lx_labels")
    validate(f"rtp_lx={folder}", None, ["gpt4=gpt4:1-5", "azure=azure_content_safety"], resamples=100, as_json=True)
    found = json.loads(capsys.readouterr().out)
    gpt4, azure = (one["macro"]["figures"]["auc"]["value"] for one in found["scorers"])
    assert gpt4 == pytest.approx(0.85, abs=0.01)
    assert azure == pytest.approx(0.84, abs=0.01)
    assert found["annotators"]["macro"]["figures"]["auc"]["value"] == pytest.approx(0.885, abs=0.01)
