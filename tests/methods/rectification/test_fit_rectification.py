"""The chain from texts to a value model: each stage by hand, killed and resumed, and what is wrong with its inputs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import Scores
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.rectification import fit as rectification
from detoxbench.methods.rectification import sarsa
from detoxbench.methods.rectification.fit import Chain
from detoxbench.methods.rectification.settings import Settings, Training
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.training import work

QUICK = Settings(prompt_tokens=3, prompts=20, samples=6, max_new_tokens=5, training=Training(epochs=2, batch_size=8))


class Words:
    """Toxic are texts with the word ``idiot``, or ``moron``."""

    name, version, attributes, languages = "words", "1", ("toxicity",), frozenset(["en", "de"])

    def score(self, texts, lang):
        values = np.array(
            [
                math.nan if not text.strip() else 0.9 if "idiot" in text else 0.6 if "moron" in text else 0.1
                for text in texts
            ]
        )
        return Scores({"toxicity": values}, ["empty text" if math.isnan(value) else None for value in values])


@pytest.fixture(autouse=True)
def words(monkeypatch):
    monkeypatch.setattr(scorers, "load", lambda spec, **options: Words())


@pytest.fixture
def chain(world):
    model, tokenizer = work.load_base(world.model, device="cpu")
    return Chain(model, tokenizer, list(world.sides().values()), Words(), QUICK)


def fit(world, out, settings=QUICK, **more):
    return rectification.fit(
        world.model, out, scorer="words", settings=settings, device="cpu", checkpoint_steps=1, **(more or world.sides())
    )


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorers, "load", lambda spec, **options: Words())
        return fit(world, tmp_path_factory.mktemp("rectification"))


def test_used_and_recorded(world, made):
    lm = load_detoxified(world.model, "rectification", value_model=str(made))
    assert lm(input_ids=torch.tensor([[1, 2]])).logits.isfinite().all()
    trained = artifacts.read(made)["trained"]
    assert (trained["scorer"], trained["scorer_version"]) == ("words", "1")
    assert set(trained["data"]) == {"toxic", "nontoxic"}
    assert trained["continuation_count"] == 20 * 6
    assert 0 < trained["toxic_trajectories"] <= trained["trajectories"] <= 40
    assert not (made.parent / ".work").exists()


def test_prompts(chain):
    prompts = chain.prompts()
    assert len(prompts) == 20
    assert {prompt["lang"] for prompt in prompts} == {"en", "de"}
    assert all(len(prompt["tokens"]) == 3 for prompt in prompts)
    assert len({(prompt["lang"], prompt["text"]) for prompt in prompts}) == 20
    # Sides and languages take turns.
    assert [prompt["lang"] for prompt in prompts[:4]] == ["de", "en", "de", "en"]


def test_prompts_of_a_share(world):
    model, tokenizer = work.load_base(world.model, device="cpu")
    texts = world.texts("toxic")
    rows = Chain(model, tokenizer, [texts], Words(), Settings(prompt_share=1 / 3)).prompts()
    assert {len(row["tokens"]) for row in rows} <= {1, 2, 3}


def test_select_by_hand(chain):
    row = {"tokens": [1], "continuations": [[2], [3], [4], []], "scores": [0.2, 0.7, None, 0.99]}
    assert sorted(chain.select([row]), key=lambda one: one["reward"]) == [
        {"tokens": [1, 3], "reward": -1.0, "score": 0.7},
        {"tokens": [1, 2], "reward": 0.0, "score": 0.2},
    ]


def test_several_of_each_end_are_kept_once(chain):
    more = rectification.Chain(chain.model, chain.tokenizer, chain.texts, chain.scorer, Settings(samples=6, keep=2))
    row = {"tokens": [1], "continuations": [[2], [3], [4]], "scores": [0.2, 0.7, 0.6]}
    assert [(one["tokens"][1], one["reward"]) for one in more.select([row])] == [(3, -1.0), (4, -1.0), (2, 0.0)]
    with pytest.raises(DetoxbenchError, match="keep=2: it must be at least 1 and at most half of the samples"):
        Settings(samples=3, keep=2)


def test_texts_as_they_stand(world, chain):
    settings = Settings(prompt_tokens=2, max_new_tokens=3, own_continuations=7)
    own = Chain(chain.model, chain.tokenizer, chain.texts, chain.scorer, settings).own()
    assert len(own) == 7
    known = [chain.tokenizer(text.text)["input_ids"] for texts in world.sides().values() for text in texts]
    for row in own:
        (rest,) = row["continuations"]
        assert any(ids[: 2 + len(rest)] == row["tokens"] + rest for ids in known)
        assert len(rest) <= 3
        assert len(row["scores"]) == 1
    clean = {"tokens": [1], "continuations": [[2]], "scores": [0.1]}
    toxic = {"tokens": [3], "continuations": [[4]], "scores": [0.8]}
    unscored = {"tokens": [5], "continuations": [[6]], "scores": [None]}
    assert chain.select([], [clean, toxic, unscored]) == [
        {"tokens": [1, 2], "reward": 0.0, "score": 0.1},
        {"tokens": [3, 4], "reward": -1.0, "score": 0.8},
    ]


def test_texts_as_they_stand_are_learned_from(world, tmp_path):
    def counts(name, own):
        settings = QUICK.replaced(own_continuations=own)
        return artifacts.read(fit(world, tmp_path / name, settings))["trained"]

    without, with_five = counts("a", 0), counts("b", 5)
    assert with_five["trajectories"] == without["trajectories"] + 5
    assert with_five["own_continuations"] == 5


def test_half_of_the_clean_prompts_are_left_out(chain):
    toxic = {"tokens": [1], "continuations": [[2]], "scores": [0.5]}
    clean = {"tokens": [2], "continuations": [[2]], "scores": [0.4]}
    chosen = chain.select([toxic] * 200 + [clean] * 1000)
    assert sum(one["reward"] == -1.0 for one in chosen) == 200
    assert 420 < len(chosen) - 200 < 580


def test_nothing_toxic_and_nothing_scored(chain):
    for scores in ([0.1, 0.2], [None, None]):
        with pytest.raises(DetoxbenchError, match="none of the 2 continuations is toxic by 'words'"):
            chain.select([{"tokens": [1], "continuations": [[2], [3]], "scores": scores}])


def test_scores_are_of_the_continuations_in_order(chain):
    ids = chain.tokenizer("idiot the moron")["input_ids"]
    rows = [{"tokens": ids[:1], "lang": lang, "continuations": [[ids[1]], [ids[2]], []]} for lang in ("en", "de")]
    assert [row["scores"] for row in chain._score(rows)] == [[0.1, 0.6, None]] * 2


@pytest.mark.parametrize("kill_at", [2, 4, 6, 8, 10])
def test_killed_and_resumed(world, made, tmp_path, processes, kill_at):
    assert processes.killed(lambda: fit(world, tmp_path), kill_at)
    assert not (tmp_path / "value_model").exists()
    found, wanted = ValueModel.load(fit(world, tmp_path)), ValueModel.load(made)
    for name, tensor in wanted.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=0, atol=1e-6)


def test_finished_stages_are_not_repeated(world, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sarsa, "train", fail)
        with pytest.raises(KeyboardInterrupt):
            fit(world, tmp_path)
    monkeypatch.setattr(rectification, "generate", fail)
    monkeypatch.setattr(Words, "score", fail)
    assert fit(world, tmp_path).is_dir()


def test_other_settings_start_anew(world, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sarsa, "train", fail)
        with pytest.raises(KeyboardInterrupt):
            fit(world, tmp_path)
    trained = artifacts.read(fit(world, tmp_path, Settings(**{**QUICK.model_dump(), "samples": 3})))["trained"]
    assert trained["continuation_count"] == 20 * 3


def test_wrong_inputs(world, made, tmp_path, monkeypatch):
    with pytest.raises(DetoxbenchError, match="made from other data or settings"):
        fit(world, made.parent, Settings(samples=9))
    with pytest.raises(DetoxbenchError, match="nothing to fit on"):
        rectification.fit(world.model, tmp_path, scorer="words")
    monkeypatch.setattr(Words, "languages", frozenset(["en"]))
    with pytest.raises(DetoxbenchError, match="scorer 'words' does not support language 'de'"):
        fit(world, tmp_path)
    monkeypatch.undo()
    with pytest.raises(DetoxbenchError, match="unknown scorer 'mimi': did you mean 'mini'"):
        rectification.fit(world.model, tmp_path, scorer="mimi", **world.sides())


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"prompt_tokens": 0}, {"prompt_share": 0}, {"prompts": -1}])
def test_wrong_settings(wrong):
    with pytest.raises(DetoxbenchError, match=f"{next(iter(wrong))}="):
        Settings(**wrong)


def test_stage_files_are_lines_of_json(tmp_path):
    rows = [{"text": "a\u2028b"}, {"text": "c\nd"}]
    assert rectification._stage(tmp_path / "s.jsonl", lambda: rows) == rows
    assert rectification._stage(tmp_path / "s.jsonl", list) == rows
    assert json.loads((tmp_path / "s.jsonl").read_text().split("\n")[1]) == rows[1]
