"""The YAML file, the texts of each step, and what is refused before anything runs."""

from __future__ import annotations

import json

import pytest

from detoxbench.core import continual_file
from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.continual import STUDIES
from detoxbench.harness.continual import spec
from detoxbench.harness.continual.run import Study, cells


def test_defaults_are_the_papers_orders():
    found = spec.parse({})
    assert [" ".join(order) for order in found.orders] == ["en ru it fr pt es", "ar ko hi pt ru en"]
    assert found.column("ko").task == "rtp_multilingual_ko"
    assert found.column_names() == ["en", "ru", "it", "fr", "pt", "es", "ar", "ko", "hi"]


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_valid(path, tmp_path):
    Study(spec.read(path), tmp_path)


def test_cells_share_what_orders_share():
    found = cells(spec.parse({"orders": ["en ru", "en fr", "ru en"], "seeds": [0, 1]}))
    labels = [cell.label() for cell in found if cell.seed == 0]
    assert labels == [
        "base-seed0", "embedded-en-seed0", "embedded-en+ru-seed0", "embedded-en+fr-seed0", "embedded-ru-seed0",
        "embedded-ru+en-seed0", "embedded-static-seed0", "embedded-static-seed0",
    ]  # fmt: skip
    assert len(found) == 2 * len(labels)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"oders": []}, "oders: there is no such key; did you mean 'orders'? allowed are model, model_args"),
        ({"orders": ["en ru en"]}, "orders: 'en' is twice"),
        ({"orders": ["en", "en"]}, "orders: an order is listed twice"),
        ({"method": "godtriever"}, "method: unknown method 'godtriever': did you mean 'goodtriever'"),
        ({"method": "self_debias"}, "method: method self_debias has no artifacts to make"),
        ({"method": "negation"}, "method: method negation does not say how its artifacts grow"),
        ({"model": "gpt2"}, "data: name the texts of each step"),
        ({"data": {"a": {"toxic": "x.jsonl", "text_column": "t"}}}, "data.a.text_column: there is no such key"),
        ({"orders": ["en ru"], "data": {"a": {"en": {"toxic": "x.jsonl"}}}}, "data.a: no texts for step 'ru'"),
        ({"tasks": "rtp_multilingual_en"}, "tasks: 'rtp_multilingual_en' is the same for every column"),
        (
            {"update": "last"},
            "update: it belongs to methods whose artifacts are trained anew; those of goodtriever grow",
        ),
        ({"samples": 0}, "samples: Input should be greater than or equal to 1; given 0"),
        ({"seeds": [1, 1]}, "seeds: a seed is listed twice"),
    ],
)
def test_mistakes_are_one_line(raw, said):
    with pytest.raises(DetoxbenchError) as error:
        spec.parse(raw, "study.yaml")
    assert str(error.value).startswith("'study.yaml': ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"orders": ["en xx"], "columns": "en"}, "the embedded corpus has no 'xx'"),
        ({"tasks": "rtp_multilingal_{step}"}, "unknown task 'rtp_multilingal_en'"),
        ({"fit": {"epochs": 2}}, "unknown key of fit: 'epochs'"),
        ({"arguments": {"alpa": 1}}, "alpa"),
        ({"orders": ["a"], "tasks": "rtp_multilingual_en", "data": {"x": {"toxic": "none.jsonl"}}}, "none.jsonl"),
    ],
)
def test_what_is_refused_before_anything_runs(raw, said, tmp_path):
    with pytest.raises(DetoxbenchError) as error:
        Study(spec.parse(raw), tmp_path / "out")
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["- a", "a: [", "\x00"])
def test_no_yaml(tmp_path, text):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(DetoxbenchError, match=r"study\.yaml"):
        spec.read(file)


def test_texts_of_domains_from_files(tmp_path):
    """``{step}`` in files and languages; relative to the YAML file; the same texts are the same content."""
    for domain in ("work", "sport"):
        lines = [{"comment": f"{domain} {at}", "lang": lang} for at in range(3) for lang in ("en", "fr")]
        (tmp_path / f"{domain}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = {"toxic": "{step}.jsonl", "nontoxic": ["work.jsonl"], "text": "comment", "langs": "en"}
    read = spec.parse({
        "orders": ["work sport", "sport work"],
        "data": {"unparallel": source, "parallel": {"work": source, "sport": source}},
        "tasks": {"english": "rtp_multilingual_en", "french": {"task": "rtp_multilingual_fr", "group": "domain=a"}},
    })  # fmt: skip
    study = Study(read, tmp_path / "out", root=tmp_path)
    assert study.data.counts("unparallel", "sport") == {"toxic": 3, "nontoxic": 3}
    assert study.data.record("unparallel", "work") == study.data.record("parallel", "work")
    both = study.data.texts("parallel", ["work", "sport"])
    assert [text.text for text in both["toxic"]] == [
        f"{domain} {at}" for domain in ("work", "sport") for at in range(3)
    ]
    assert [len(study.steps.folders("parallel", steps, 0)) for steps in (("work",), ("work", "sport"))] == [1, 1]


def test_artifacts_of_each_method(tmp_path):
    """Shared where they are the same: experts of the last language alone, vectors of each, whatever came before."""

    for name in ("en", "ru"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"text {name}"}) + "\n")
    given = {"orders": ["en ru", "ru en"], "data": {"mine": {"toxic": "{step}.jsonl", "nontoxic": "{step}.jsonl"}}}

    def folders(steps, **raw):
        return Study(spec.parse({**given, **raw}), tmp_path / "out", root=tmp_path).steps.folders("mine", steps, 0)

    assert folders(("en", "ru"), method="dexperts") != folders(("ru", "en"), method="dexperts")
    assert folders(("en", "ru"), method="dexperts", update="last") == folders(("ru",), method="dexperts", update="last")
    vectors = folders(("en", "ru"), method="task_vector")
    assert vectors == folders(("en",), method="task_vector") + folders(("ru",), method="task_vector")


def test_reading_something_else(tmp_path):
    file = tmp_path / "continual.json"
    for text in ("[]", "{", '{"kind": "continual", "schema_version": 99}'):
        file.write_text(text)
        with pytest.raises(DetoxbenchError, match="continual"):
            continual_file.read(file)
