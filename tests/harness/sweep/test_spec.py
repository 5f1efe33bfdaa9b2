"""The file of a sweep: variables, grids, and mistakes in one line each."""

from __future__ import annotations

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.sweep import STUDIES
from detoxbench.harness.sweep import spec
from detoxbench.harness.sweep.cells import expand


def labels(raw, **settings):
    return [cell.label() for cell in expand(spec.parse(raw, settings=settings))]


def test_an_empty_file_is_the_base_model_on_mini():
    assert labels({}) == ["mini none rtp_multilingual seed=0"]


def test_every_combination_is_a_cell():
    raw = {
        "models": ["mini", {"name": "gpt2", "label": "small"}],
        "methods": ["none", {"method": "self_debias", "grid": {"decay": [10, 50.0]}}],
        "tasks": ["rtp_multilingual_en", ["rtp_multilingual_fr", "rtp_multilingual_fi"]],
        "seeds": [0, 1],
    }
    with pytest.raises(DetoxbenchError, match=r"tasks\.1: unknown task 'rtp_multilingual_fi'"):
        expand(spec.parse(raw))
    raw["tasks"][1][1] = "rtp_multilingual_es"
    found = labels(raw)
    assert len(found) == len(set(found)) == 2 * 3 * 2 * 2
    assert "small self_debias decay=10 rtp_multilingual_fr+rtp_multilingual_es seed=1" in found


def test_variables_keep_their_kind():
    raw = {
        "variables": {"alphas": [1.0, 2.0], "model": "mini", "tail": "en"},
        "models": "${model}",
        "methods": [{"method": "goodtriever", "grid": {"alpha": "${alphas}"}}],
        "tasks": "rtp_multilingual_${tail}",
    }
    assert labels(raw) == [f"mini goodtriever alpha={alpha} rtp_multilingual_en seed=0" for alpha in (1.0, 2.0)]
    assert labels(raw, alphas=[3], tail="fr") == ["mini goodtriever alpha=3 rtp_multilingual_fr seed=0"]


def test_a_variable_may_use_those_before_it():
    raw = {"variables": {"langs": "en", "task": "rtp_multilingual_${langs}"}, "tasks": ["${task}"]}
    assert labels(raw) == ["mini none rtp_multilingual_en seed=0"]
    assert labels(raw, langs="fr") == ["mini none rtp_multilingual_fr seed=0"]
    assert labels(raw, task="rtp_multilingual_de") == ["mini none rtp_multilingual_de seed=0"]
    with pytest.raises(DetoxbenchError, match=r"unknown variable in 'sweep', variables\.a: 'b'"):
        spec.parse({"variables": {"a": "${b}", "b": 1}})


def test_a_grid_reaches_into_the_fit():
    raw = {
        "methods": {
            "method": "task_vector",
            "fit": {"options": {"epochs": 1}},
            "grid": {"fit.splits": [1, 5], "fit.options.seed": [7], "coefficient": [0.5]},
        }
    }
    first, second = expand(spec.parse(raw))
    assert (first.fit.splits, second.fit.splits) == (1, 5)
    assert first.fit.options == {"epochs": 1, "seed": 7}
    assert first.label() == "mini task_vector splits=1 seed=7 coefficient=0.5 rtp_multilingual seed=0"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"model": "mini"}, r"model: there is no such key; did you mean 'models'\? allowed are description, variables"),
        ({"models": [{"nam": "x"}]}, r"models\.0\.na"),
        (
            {"methods": [{"method": "goodtriver"}]},
            r"methods\.0: unknown method 'goodtriver': did you mean 'goodtriever'",
        ),
        ({"methods": [{"method": "dexperts", "arguments": {"alpha": -1}}]}, r"methods\.0: .*alpha"),
        ({"methods": [{"method": "none", "fit": {}}]}, r"methods\.0\.fit: method none has no artifacts"),
        ({"models": "gpt2", "methods": "dexperts"}, r"methods\.0: dexperts on gpt2 needs expert or antiexpert"),
        ({"models": "gpt2", "methods": {"method": "dapt", "fit": {}}}, r"methods\.0\.fit: name toxic or nontoxic"),
        ({"methods": {"method": "dapt", "fit": {"pairs": "x.tsv"}}}, r"methods\.0\.fit\.pairs: dapt does not learn"),
        (
            {"methods": {"method": "goodtriever", "fit": {}, "arguments": {"toxic_datastore": "x"}}},
            r"methods\.0\.arguments\.toxic_datastore: it is made by fit",
        ),
        (
            {"methods": {"method": "goodtriever", "arguments": {"alpha": 1}, "grid": {"alpha": [2]}}},
            r"methods\.0\.grid\.alpha: it is given twice",
        ),
        (
            {"methods": {"method": "goodtriever", "grid": {"fit.texts": [2]}}},
            r"grid\.fit\.texts: the method has no fit",
        ),
        ({"methods": {"method": "goodtriever", "fit": {}, "grid": {"fit.text_s": [2]}}}, "unknown key of fit 'text_s'"),
        ({"methods": {"method": "goodtriever", "fit": {}, "grid": {"fit.texts": [0]}}}, r"grid\.fit\.texts"),
        ({"methods": {"method": "goodtriever", "grid": {"alpha": []}}}, r"methods\.0\.grid\.alpha"),
        ({"samples": 2, "metadata": {"samples": 3}}, "samples: it is given twice"),
        ({"metadata": {"scorer": "perspectiv"}}, "did you mean 'perspective'"),
        ({"seeds": []}, "seeds: "),
        (
            {"resources": {"gpu": 1}},
            r"resources\.gpu: there is no such key; did you mean 'gpus'\? allowed are gpus, cpus",
        ),
        ({"resources": {"processes": 2}}, "resources: 2 processes need gpus: 2; there are 0"),
        ({"tasks": "${task}"}, "unknown variable in 'sweep', tasks: 'task'"),
        ({"variables": [1]}, "variables: it must hold names and values"),
        ({"limit": "many"}, "limit: .*given 'many'"),
    ],
)
def test_mistakes_are_one_line_with_the_key(raw, message):
    with pytest.raises(DetoxbenchError, match=message) as caught:
        expand(spec.parse(raw))
    assert "\n" not in str(caught.value)


def test_files(tmp_path):
    path = tmp_path / "a.yaml"
    for content, message in (("- 1", "not a list"), ("a: [", "as YAML"), (b"\xff\xfe\xff", "cannot be read")):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(DetoxbenchError, match=message):
            spec.read(path)
    with pytest.raises(DetoxbenchError, match="cannot be read"):
        spec.read(tmp_path / "none.yaml")
    path.write_text("seeds: 3\n")
    with pytest.raises(DetoxbenchError, match="unknown variable .* 'seed'"):
        spec.read(path, {"seed": 1})
    assert spec.read(path).seeds == (3,)


def test_memory_is_written_as_people_do():
    sizes = {"16GB": 16 << 30, "1.5 GiB": 3 << 29, "512m": 512 << 20, 1000: 1000}
    for text, size in sizes.items():
        assert spec.parse({"resources": {"memory": text}}).resources.memory == size


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_expand_on_mini_and_on_real_models(path):
    assert expand(spec.read(path))
    given = spec.read(path).variables
    real = {"models": ["gpt2", "gpt2-large"], "tasks": "rtp", "limit": None, "samples": 25, "gpus": 1}
    paths = ("toxic", "nontoxic", "toxic_datastore", "nontoxic_datastore", "expert", "antiexpert")
    real |= {name: "some/where" for name in paths if name in given}
    cells = expand(spec.read(path, real))
    assert {cell.model.name for cell in cells} == {"gpt2", "gpt2-large"}
    assert spec.read(path).description
