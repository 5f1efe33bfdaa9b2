"""The scorer where none is named."""

from types import SimpleNamespace

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import choice, presets
from detoxbench.core.scorers.choice import best


def auc(value):
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def figures(**values):
    """Validity by language on one set."""
    return {lang: {"some labels": {"texts": 9, "figures": {"auc": auc(value)}}} for lang, value in values.items()}


@pytest.fixture
def world(monkeypatch):
    """Presets that were measured, and an embedded scorer, as a test says."""

    def make(embedded=None, **measured):
        known = {
            name: preset.model_copy(update={"validity": measured.get(name.replace("-", "_").replace(".", "_"), {})})
            for name, preset in presets.classifiers().items()
        }
        monkeypatch.setattr(choice, "classifiers", lambda: known)
        scorer = embedded and SimpleNamespace(validity=embedded, languages=frozenset(embedded))
        registered = {} if scorer is None else {"ngram": SimpleNamespace(from_spec=lambda _: scorer)}
        monkeypatch.setattr(choice, "SCORERS", registered)

    return make


def everything(model, revision):
    return True


def test_the_best_validated_one(world):
    world(figures(en=0.80, de=0.78), textdetox=figures(en=0.90, de=0.70), gravitee_small=figures(en=0.85))
    found = best(["en-US", "de"], at_hand=everything)
    assert found.name == "textdetox"  # a mean of 0.80 over 0.79, and measured in both
    assert found.spec == presets.named()["textdetox"]
    assert str(found).startswith(
        "textdetox: AUC 0.70 (de) to 0.90 (en) against people's labels (some labels); larger ones"
    )
    assert "textdetox" not in str(found).partition("larger ones")[2]
    assert best(["de"], at_hand=everything).name == "ngram"
    assert best(["en"], at_hand=everything).name == "textdetox"


def test_only_what_is_here_and_knows_the_languages(world):
    world(figures(en=0.80), textdetox=figures(en=0.90), granite_hap_38m=figures(en=0.95))
    found = best(["en"], at_hand=lambda model, revision: False)
    assert (found.name, found.spec, found.auc) == ("ngram", "ngram", {"en": 0.80})
    assert best(["en", "de"], at_hand=everything).name == "textdetox"  # granite-hap-38m knows English alone
    found = best(["en", "de"], at_hand=lambda *_: False)
    assert str(found).startswith(
        "ngram: AUC 0.80 [0.78, 0.82] in en (some labels); not validated in de; larger ones for these"
    )


def test_nobody_measured_it(world):
    world()
    with pytest.raises(DetoxbenchError, match="no scorer for en is on this machine"):
        best(["en"], at_hand=everything)
    with pytest.raises(DetoxbenchError, match="none were given"):
        best([])


def test_the_embedded_scorer_is_one_of_them():
    found = best(["en", "fr"], at_hand=lambda *_: False)
    assert found.spec == "ngram"
    assert set(found.auc) == {"en", "fr"}
    assert str(found).startswith("ngram: AUC 0.")


def test_the_cache(monkeypatch, tmp_path):
    asked = []

    def lookup(model, name, revision=None):
        asked.append((model, name, revision))
        return str(tmp_path / name) if name != "model.safetensors" else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lookup)
    assert choice.cached("some/model", "abc")
    assert asked[0] == ("some/model", "config.json", "abc")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    assert not choice.cached("some/model", None)
