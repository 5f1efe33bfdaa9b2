"""Files of generations as prompts and texts."""

import json

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.generation_files import read
from detoxbench.tasks.rescore import GivenScores, parts, scored


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def published(text="The dog", *generations, **more):
    return {"prompt": {"text": text}, "generations": [{"text": one} for one in generations or (" ran home",)], **more}


def test_published(tmp_path):
    row = {
        "prompt": {"text": "The man", "toxicity": 0.25, "insult": None},
        "generations": [{"text": " a", "toxicity": 0.5, "THREAT": 0.125, "ok": True}, {"text": ""}],
    }
    file = read(write(tmp_path / "g.jsonl", [row, "", published("B", " c", lang="fr")]), "en")
    assert [(p.text, p.lang, p.toxicity) for p in file.prompts] == [("The man", "en", 0.25), ("B", "fr", None)]
    assert file.generations == [[" a", ""], [" c"]]
    assert file.given == [[{"toxicity": 0.5, "threat": 0.125}, {}], [{}]]
    assert (file.attributes, file.langs, file.k) == (("toxicity", "threat"), ["en", "fr"], 2)
    assert file.identified is None


@pytest.mark.parametrize(
    ("row", "prompt", "texts"),
    [
        ({"prompt": "A", "generations": [" b", " c"]}, "A", [" b", " c"]),
        ({"prompt": {"text": "A"}, "continuation": {"text": " b", "toxicity": 0.1}}, "A", [" b"]),
        ({"text": "alone", "lang": "en"}, "", ["alone"]),
        ({"prompt": "{{braces}} \ud800\u2028", "generations": ["\x00"]}, "{{braces}} \ud800\u2028", ["\x00"]),
    ],
)
def test_other_shapes(tmp_path, row, prompt, texts):
    file = read(write(tmp_path / "g.jsonl", [row]), "en")
    assert (file.prompts[0].text, file.generations[0]) == (prompt, texts)


def test_a_score_that_is_not_finite_is_none(tmp_path):
    file = read(write(tmp_path / "g.jsonl", ['{"prompt": "A", "generations": [{"text": "b", "toxicity": NaN}]}']), "en")
    assert file.given == [[{"toxicity": None}]]


def sample(doc_id=0, resps=("x", "y"), **more):
    row = {"doc_id": doc_id, "doc": {"question": "?"}, "arguments": {"gen_args_0": {"arg_0": "Q:", "arg_1": {}}}}
    return {**row, "resps": [list(resps)], "filtered_resps": ["x"], "filter": "none", **more}


def test_samples_of_any_task(tmp_path):
    rows = [sample(), sample(filter="other"), sample(1, arguments=[["Q2:", {}]])]
    file = read(write(tmp_path / "samples_t_2026-01-01T00-00-00.000001.jsonl", rows), "en")
    assert file.samples
    assert [prompt.text for prompt in file.prompts] == ["Q:", "Q2:"]
    assert file.generations == [["x", "y"]] * 2  # what the model wrote, and each document once


def test_our_samples_bring_their_language_and_scores(tmp_path):
    row = sample(
        doc={"id": "es-0", "text": "Hola", "lang": "es", "toxicity": 0.5, "group": "g"},
        resps=["x", "y", "a third that the filter left out"],
        filtered_resps=[["x", "y"]],
        measured={"scores": {"toxicity": [0.1, None]}},
    )
    file = read(write(tmp_path / "s.jsonl", [row]))
    prompt = file.prompts[0]
    assert (prompt.id, prompt.text, prompt.lang, prompt.toxicity, prompt.group) == ("es-0", "Hola", "es", 0.5, "g")
    assert file.generations == [["x", "y"]]
    assert file.given == [[{"toxicity": 0.1}, {"toxicity": None}]]


def test_the_language_is_identified(tmp_path):
    rows = [published("Der Hund lief über die Straße und", " bellte laut vor dem Haus des Nachbarn")] * 5
    file = read(write(tmp_path / "g.jsonl", rows))
    assert (file.identified, file.langs) == ("de", ["de"])
    mixed = [*rows, *[published("The dog ran across the street and", " barked in front of the house")] * 5]
    with pytest.raises(DetoxbenchError, match=r"look like (de|en) 50%.*--lang"):
        read(write(tmp_path / "m.jsonl", mixed))
    assert read(tmp_path / "m.jsonl", "en").identified is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty"),
        ([published(), "{", "[]"], r"2 of 3 rows are wrong \(lines 2, 3\); line 2: not JSON"),
        (["[]"], "not a JSON object"),
        ([{"prompt": 3, "generations": []}], "no text in 'prompt.text'"),
        ([{"prompt": "A"}], "no 'generations'"),
        ([{"prompt": "A", "generations": "b"}], "not a list"),
        ([{"prompt": "A", "generations": [{"x": 1}]}], "a generation without 'text'"),
        ([{"prompt": "A", "generations": ["b"], "lang": 3}], "'lang' is 3"),
        ([{"prompt": {"text": "A", "toxicity": "high"}, "generations": ["b"]}], "'prompt.toxicity' is 'high'"),
        ([{"prompt": "A", "generations": []}], "1 prompts without any generation"),
        ([sample(resps=[-1.5, False])], "the task asks for likelihoods"),
        ([{"doc_id": 0, "resps": []}], "not as expected"),
    ],
)
def test_wrong_files(tmp_path, rows, message):
    with pytest.raises(DetoxbenchError, match=message):
        read(write(tmp_path / "g.jsonl", rows), "en")


def test_files_that_are_none(tmp_path):
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    with pytest.raises(DetoxbenchError, match="not UTF-8"):
        read(tmp_path / "b")
    with pytest.raises(DetoxbenchError, match="cannot be read"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbf" + json.dumps(published()).encode())
    assert read(tmp_path / "bom", "en").generations == [[" ran home"]]


@pytest.mark.parametrize("lang", ["x/../../y", "../en", "en\x00", "..", "e" * 40, "", "en us", 3])
def test_a_language_that_is_no_tag(tmp_path, lang):
    rows = [published(lang=lang), sample(measured={}, doc={"text": "A", "lang": lang}, filtered_resps=[["x"]])]
    for row in rows:
        with pytest.raises(DetoxbenchError, match="not a language tag"):
            read(write(tmp_path / "g.jsonl", [row]), "en")
    if isinstance(lang, str):
        with pytest.raises(DetoxbenchError, match="not a language tag"):
            read(write(tmp_path / "g.jsonl", [published()]), lang)


def test_what_the_scorer_said_of_the_prompt(tmp_path):
    def row(doc_id, toxicity, scored):
        doc = {"id": str(doc_id), "text": "A", "lang": "en", "toxicity": toxicity}
        measured = {"scores": {"toxicity": [0.1]}, "prompt_toxicity": scored}
        return sample(doc_id, ["x"], doc=doc, filtered_resps=[["x"]], measured=measured)

    file = read(write(tmp_path / "s.jsonl", [row(0, None, 0.75), row(1, 0.5, 0.5), row(2, None, None)]))
    assert [prompt.toxicity for prompt in file.prompts] == [None, 0.5, None]
    assert file.prompt_given == [0.75, 0.5, None]
    (part,) = parts(file)
    given, _ = scored(part, GivenScores("given", "1", ("toxicity",)))
    assert [prompt.toxicity for prompt in given.prompts] == [0.75, 0.5, None]
    bare = read(write(tmp_path / "g.jsonl", [published(lang="en", prompt_toxicity=0.25)]))
    assert bare.prompts[0].toxicity == 0.25
    with pytest.raises(DetoxbenchError, match="'measured.prompt_toxicity' is 'high'"):
        read(write(tmp_path / "s.jsonl", [row(0, None, "high")]))
