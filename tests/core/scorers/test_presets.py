"""Presets: data that is whole, names that mean one exact thing."""

import pytest
import tiny
import tiny_guards
import yaml
from pydantic import ValidationError

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import SCORERS
from detoxbench.core.scorers import presets
from detoxbench.core.scorers.hf import HFScorer, choose_label
from detoxbench.core.scorers.judge import RUBRIC
from detoxbench.core.scorers.presets.read import FOLDER, read
from detoxbench.core.scorers.presets.schema import Ask, Classifier, Guard


def test_every_preset_is_whole():
    found = {**presets.classifiers(), **presets.guards()}
    assert len(found) >= 19
    for name, preset in found.items():
        assert preset.source, name
        assert preset.licence, name
        assert "https://" in preset.source or name == "rubric", name
        for lang in preset.languages or ():
            assert lang == lang.lower(), name
            assert 2 <= len(lang) <= 3, name
    for name, guard in presets.guards().items():
        harms = [[label.harm for label in step.labels.values()] for ask in guard.asks.values() for step in ask.steps]
        assert all(min(one) == 0 and max(one) == 1 for one in harms), name
        shown = str([(ask.messages, ask.template) for ask in guard.asks.values()])
        assert "{text}" in shown, name
        assert "response" not in guard.asks or "{prompt}" in shown, name


def test_names_are_scorers_and_stand_for_one_specification():
    for name, spec in presets.named().items():
        assert name not in SCORERS
        assert spec.partition(":")[0] in ("hf", "guard")
        assert scorers.check(name) == spec
        assert presets.spec_of(spec) == spec
    assert presets.spec_of("detoxify-multilingual") == (
        "hf:unitary/multilingual-toxic-xlm-roberta,label=toxic,revision=a3d4e66839269e45c5e8491dfa55a53fdaedcdbc,"
        "activation=sigmoid,window=512,languages=en+es+fr+it+pt+ru+tr"
    )
    assert presets.spec_of("shieldgemma-2b,role=response") == (
        "guard:google/shieldgemma-2b,preset=shieldgemma,revision=d1dffc9c8c9237a90aab09c61383791e718ef9e8,role=response"
    )
    assert presets.spec_of("mini:reward") == "mini:reward"


def test_every_preset_says_which_commit_and_what_was_checked():
    commits = {}
    for name, preset in {**presets.classifiers(), **presets.guards()}.items():
        assert preset.checked, name
        assert preset.validity == "unmeasured" or preset.figures, name
        variants = getattr(preset, "variants", {name: preset})
        commits |= {variant: one.revision for variant, one in variants.items()}
        if "unverified" in [one.revision for one in variants.values()]:
            assert any("not read" in one for one in preset.checked), name
    unverified = {name for name, revision in commits.items() if revision == "unverified"}
    assert unverified == {
        "deberta-toxicity", "gravitee-small", "textdetox", "gpt-oss-safeguard-20b", "gpt-oss-safeguard-120b",
        "granite-guardian-3.3-8b", "nemotron-safety-guard-v3", "polyguard-smol", "shieldgemma-27b",
    }  # fmt: skip
    assert len(commits) - len(unverified) >= 17
    for name in unverified:
        assert "revision" not in presets.named()[name]


def test_every_preset_says_what_its_model_was_trained_on_or_that_nobody_says():
    for name, preset in {**presets.classifiers(), **presets.guards()}.items():
        assert preset.trained_on == "unknown" or preset.data, name
        assert any("train" in one for one in preset.checked) or "Trained on" in preset.source, name
    assert presets.classifiers()["textdetox"].data == ("textdetox",)
    assert presets.guards()["qwen3guard"].data == ()


def test_figures_of_one_model_say_nothing_of_another(tmp_path):
    rubric = presets.guards()["rubric"]
    assert rubric.measured_with == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert rubric.figures["en"]["davidson"]["better_than_chance"] is False
    tiny_guards.guard(tmp_path / "guard", "llama", tiny_guards.LLAMA3, "llama-guard")
    assert scorers.load(f"guard:{tmp_path / 'guard'},preset=rubric").validity == {}


def test_a_moving_revision_is_said_and_recorded(tmp_path, monkeypatch, caplog):
    """What the hub calls by no commit is other weights tomorrow."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    tiny.classifier(tmp_path / commit, labels=("fine", "bad"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path / commit))
    scorer = scorers.load("textdetox")
    assert commit in scorer.version
    [line] = [record.getMessage() for record in caplog.records if record.name.endswith("scorers.model_files")]
    assert line.count("\n") == 0
    assert f"no commit was asked for; this run uses {commit}" in line
    caplog.clear()
    assert scorers.load("granite-hap-38m").version.startswith(commit)
    assert not [record for record in caplog.records if record.name.endswith("scorers.model_files")]
    scorers.load("hf:some/model,label=1,revision=main")
    assert "revision=main is no commit" in caplog.text


def test_a_preset_cannot_be_made_another():
    with pytest.raises(DetoxbenchError, match="label is part of what the name stands for"):
        scorers.check("textdetox,label=0")
    with pytest.raises(DetoxbenchError, match="takes options, not an argument"):
        scorers.check("textdetox:some/model")
    with pytest.raises(DetoxbenchError, match="did you mean 'textdetox'"):
        scorers.check("textdetx")


def test_a_classifiers_preset_is_loaded_as_it_says(tmp_path, monkeypatch):
    tiny.classifier(tmp_path / "model", labels=("fine", "bad"))
    asked = []

    def fetch(model, revision, *rest, **given):
        asked.append((model, revision))
        return tmp_path / "model", "c0ffee"

    monkeypatch.setattr("detoxbench.core.scorers.hf.fetch", fetch)
    scorer = scorers.load("granite-hap-38m,dtype=float32")
    assert isinstance(scorer, HFScorer)
    assert asked == [("ibm-granite/granite-guardian-hap-38m", "faf9291163c7363d4a7ba7fc1dc72243214af931")]
    assert (scorer.label, scorer.activation, scorer.languages) == ("bad", "softmax", {"en"})
    assert scorer.name.startswith("hf:ibm-granite/granite-guardian-hap-38m,label=1,revision=faf92911")
    with pytest.raises(DetoxbenchError, match="does not support language 'de': it supports en"):
        scorer.score(["a"], "de")
    asked.clear()
    duoguard = scorers.load("duoguard-0.5b")
    assert asked[1] == ("Qwen/Qwen2.5-0.5B", "060db6499f32faf8b98477b0a26969ef7d8b9987")
    assert duoguard.name.endswith(",tokenizer=Qwen/Qwen2.5-0.5B@060db6499f32faf8b98477b0a26969ef7d8b9987")


def test_options_that_presets_need(tmp_path):
    labels = ["LABEL_0", "LABEL_1"]
    assert choose_label("hf:m", labels, "1") == "LABEL_1"
    assert choose_label("hf:m", ["1", "0"], "1") == "1"  # a name wins
    with pytest.raises(DetoxbenchError, match="unknown label"):
        choose_label("hf:m", labels, "2")
    tiny.classifier(tmp_path / "model")
    with pytest.raises(DetoxbenchError, match="language codes with"):
        scorers.load(f"hf:{tmp_path / 'model'},languages=English")
    known = scorers.load(f"hf:{tmp_path / 'model'},languages=en+de")
    anything = scorers.load(f"hf:{tmp_path / 'model'}")
    assert known.languages == {"en", "de"}
    assert (known.name, known.version) == (anything.name, anything.version)


def test_the_rubric_has_one_home():
    assert RUBRIC in presets.guards()["rubric"].asks["text"].messages[0].content
    assert RUBRIC not in (FOLDER / "guards" / "rubric.yaml").read_text()


def test_the_digest_is_that_of_what_a_score_depends_on():
    guard = presets.guards()["rubric"]
    assert guard.model_copy(update={"description": "another", "languages": ("en",)}).digest == guard.digest
    assert guard.model_copy(update={"top": 20}).digest != guard.digest


def test_a_file_that_is_no_preset(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"description": "mine", "lisence": "mit"}))
    with pytest.raises(DetoxbenchError, match="mine.yaml.*(?s:.*)lisence"):
        read(tmp_path / "mine.yaml", Guard)
    (tmp_path / "broken.yaml").write_text("{")
    with pytest.raises(DetoxbenchError, match="broken.yaml"):
        read(tmp_path / "broken.yaml", Classifier)
    step = {"labels": {"no": {"harm": 0, "token": "no"}, "yes": {"harm": 1, "token": "yes"}}}
    with pytest.raises(ValidationError, match="either messages or a template"):
        Ask.model_validate({"steps": [step]})
