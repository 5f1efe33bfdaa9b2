"""The embedded n-gram scorer, its features and what it refuses."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import ngram, ngram_features
from detoxbench.core.validity.known import known


def of(texts, lang="en", **options):
    """n-grams of each text as sorted lists of columns."""
    rows, columns = ngram_features.features(texts, lang, **options)
    return [sorted(columns[rows == row].tolist()) for row in range(len(texts))]


def test_features_do_not_depend_on_neighbours():
    texts = ["one two", "", "three", "ünïcode 日本語のテキスト", "one two"]
    together = of(texts)
    assert together == [of([text])[0] for text in texts]
    assert together[0] == together[4]
    assert together[1] == []


def test_features_by_hand():
    # " ab ": a, b; " a", "ab", "b "; " ab", "ab "; " ab " as four characters; the word: nine in either view.
    assert len(of(["ab"])[0]) == 2 * (2 + 3 + 2 + 1 + 0 + 1)
    assert len(of(["ab"], least=3)[0]) == 2 * (2 + 1 + 0 + 1)
    # Characters of three and more stay within words; the pair of words is the only one that spans both.
    assert len(of(["ab cd"])[0]) == 2 * (4 + 6 + 4 + 2 + 0 + 2 + 1)


MASK = 2**64 - 1


def mixed(number):
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        number = ((number ^ (number >> 33)) * factor) & MASK
    return number ^ (number >> 33)


def reference(view, salt):
    """Columns of every n-gram of one text's view, one at a time, as the module's documentation has them."""
    padded = [32, *view.tolist(), 32]
    spaces = [place for place, code in enumerate(padded) if code == 32]
    spans = []
    if len(spaces) < len(padded):
        for size in ngram_features.SIZES:
            for start in range(len(padded) - size + 1):
                gram = padded[start : start + size]
                if (size > 1 or gram != [32]) and (size < 3 or 32 not in gram[1:-1]):
                    spans.append((gram, size))
        for words in ngram_features.WORDS:
            for start, end in zip(spaces, spaces[words:], strict=False):
                if end - start > 1:
                    spans.append((padded[start : end + 1], 100 + words))
    power = int(ngram_features._P)
    hashes = [sum(code * pow(power, place, 2**64) for place, code in enumerate(gram)) + kind for gram, kind in spans]
    return [mixed((one & MASK) ^ int(salt)) >> (64 - ngram_features.BITS) for one in hashes]


@given(st.lists(st.text(alphabet="abé’日한 \n!*0@🙂", max_size=12), min_size=1, max_size=4))
def test_features_are_those_of_one_n_gram_at_a_time(texts):
    salts = ngram_features._salt("written\0fr"), ngram_features._salt("undisguised")
    views = ngram_features.as_written, ngram_features.undisguised
    expected = [
        sorted(
            column
            for view, salt in zip(views, salts, strict=True)
            for column in reference(view(ngram_features.normalised([text])), salt)
        )
        for text in texts
    ]
    assert of(texts, "fr") == expected


def text(view):
    return "".join(map(chr, view))


def test_views():
    written, undisguised = ngram_features.as_written, ngram_features.undisguised
    normalised = ngram_features.normalised
    assert text(written(normalised(["École 12!?  sooo"]))) == "école 00 soo"
    assert text(undisguised(normalised(["1d10t", "STUPIIIID", "café", "f*ol"]))) == "idiot\nstupid\ncafe\nfol"
    assert text(written(normalised(["हिन्दी"]))) == "हिन्दी"  # vowel signs are part of the word
    assert text(written(normalised(["a\nb", "", "…"]))) == "a b\n\n "
    rows = of(["same"], "fr")[0], of(["same"], "de")[0]
    assert len(set(rows[0]) & set(rows[1])) == len(rows[0]) / 2  # the second view is shared
    alone = of(["same"], "fr", shared=False)[0], of(["same"], "de", shared=False)[0]
    assert not set(alone[0]) & set(alone[1])


def test_columns_are_the_same_on_every_machine():
    """Pinned: weights of other hashes are of no use."""
    rows, columns = ngram_features.features(["You are late."], "en")
    assert (int(columns.sum()), len(columns), int(rows.max())) == PINNED


PINNED = (222569550, 102, 0)


@pytest.fixture(scope="module")
def scorer():
    return scorers.load("ngram")


def test_embedded(scorer):
    assert scorer.name == "ngram"
    assert len(scorer.languages) == 17
    assert scorer.version.startswith("sha256:")
    size = sum(path.stat().st_size for path in ngram.EMBEDDED.iterdir())
    assert size < 8 * 2**20
    polite, rude = "thank you for the lovely dinner", "you are a stupid idiot, shut up"
    low, high = scorer.score([polite, rude], "en").values["toxicity"]
    assert low < 0.5 < high
    french = scorer.score(["merci pour ce bon dîner", "ferme ta gueule, espèce d'idiot"], "fr").values["toxicity"]
    assert french[0] < 0.5 < french[1]


def test_batches_and_order_change_nothing(scorer):
    texts = [f"text number {number} of the {number % 7}th kind" for number in range(50)]
    whole = scorer.score(texts, "en").values["toxicity"]
    each = [scorer.score([text], "en").values["toxicity"][0] for text in texts]
    assert whole.tolist() == each
    assert scorer.score(texts[::-1], "en").values["toxicity"].tolist() == each[::-1]


def test_batches_are_cut_by_characters(scorer, monkeypatch):
    texts = ["word " * 40, "", "a", "word " * 90_000, "one more text"] * 3
    whole = scorer.score(texts, "en").values["toxicity"].tolist()
    batches = ngram._batches(texts)
    assert [start for start, _ in batches] == [0, *(end for _, end in batches[:-1])]
    assert batches[-1][1] == len(texts)
    monkeypatch.setattr(ngram, "ROOM", 100)
    assert len(ngram._batches(texts)) > len(batches)
    np.testing.assert_array_equal(scorer.score(texts, "en").values["toxicity"], whole)
    assert ngram._batches([]) == []
    assert scorer.score([], "en").values["toxicity"].shape == (0,)


def test_what_cannot_be_scored(scorer):
    found = scorer.score(["", " \n", "😀 …", "a\ud800b"], "en")
    assert found.reasons == ["empty text", "empty text", "no word in it", None]
    assert np.isnan(found.values["toxicity"][:3]).all()
    with pytest.raises(DetoxbenchError, match="does not support language 'sw'"):
        scorer.score(["a"], "sw")
    unscored = scorers.load("ngram", on_unsupported="nan").score(["a"], "sw")
    assert np.isnan(unscored.values["toxicity"]).all()
    assert unscored.reasons[0]


def test_card_says_its_validity(scorer):
    card = scorer.card
    assert {one["name"] for one in card["sources"]} == {"rtp_lx", "paradetox", "davidson"}
    assert all(one["licence"] for one in card["sources"])
    for lang in scorer.languages:
        found = known(scorer, lang)
        assert found is not None, lang
        assert found.low <= found.auc <= found.high
    assert card["identities"]["hatecheck"]


def test_a_folder_of_ones_own(scorer, tmp_path):
    shutil.copytree(ngram.EMBEDDED, tmp_path / "mine")
    mine = scorers.load(f"ngram:{tmp_path / 'mine'}")
    assert (mine.name, mine.version) == ("ngram:mine", scorer.version)
    assert mine.score(["hello"], "en").values["toxicity"] == scorer.score(["hello"], "en").values["toxicity"]
    card = json.loads((tmp_path / "mine" / "card.json").read_text())
    for change, message in (({"features": {}}, "fit it again"), ({"kind": "other"}, "is no card")):
        (tmp_path / "mine" / "card.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(DetoxbenchError, match=message):
            scorers.load(f"ngram:{tmp_path / 'mine'}")
    (tmp_path / "mine" / "card.json").write_text("{")
    with pytest.raises(DetoxbenchError, match="is not JSON"):
        scorers.load(f"ngram:{tmp_path / 'mine'}")
    with pytest.raises(DetoxbenchError, match="cannot be read"):
        scorers.load(f"ngram:{tmp_path / 'nothing'}")
    (tmp_path / "mine" / "card.json").write_text(json.dumps(card))
    (tmp_path / "mine" / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(DetoxbenchError, match="cannot be read"):
        scorers.load(f"ngram:{tmp_path / 'mine'}").score(["a"], "en")
