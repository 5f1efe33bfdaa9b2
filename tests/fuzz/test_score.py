"""``detoxbench score`` of mutated generation files and samples."""

import mutate
import pytest

PUBLISHED = [
    {
        "prompt": {"text": f"The prompt {number}", "toxicity": 0.25},
        "lang": "en",
        "generations": [{"text": f" goes on {number}", "toxicity": 0.5, "insult": None}, {"text": ""}],
    }
    for number in range(3)
]
SAMPLES = [
    {
        "doc_id": number,
        "doc": {"id": f"en-{number}", "text": "The prompt", "lang": "en", "toxicity": 0.5, "group": "g"},
        "target": "",
        "arguments": {"gen_args_0": {"arg_0": "The prompt", "arg_1": {}}},
        "resps": [[" goes on", " ends"]],
        "filtered_resps": [[" goes on", " ends"]],
        "filter": "none",
        "measured": {"scores": {"toxicity": [0.5, None]}, "reasons": [None, "why"], "prompt_toxicity": 0.5},
    }
    for number in range(3)
]


@pytest.mark.parametrize("rows", [PUBLISHED, SAMPLES], ids=["published", "samples"])
@pytest.mark.parametrize("scorer", ["mini", "given"])
def test_generations(tmp_path, rows, scorer):
    path, out = tmp_path / "g.jsonl", tmp_path / "out"
    arguments = [
        "score",
        str(path),
        "--scorer",
        scorer,
        "--archive",
        "none",
        "--on-unsupported",
        "nan",
        "--out",
        str(out),
    ]
    path.write_text("".join(f"{mutate.json.dumps(row)}\n" for row in rows))
    assert mutate.run(*arguments)[0] == 0
    before = set(tmp_path.parent.iterdir())
    mutate.check(lambda rng: mutate.mutated_rows(rows, rng), path, *arguments)
    assert set(tmp_path.parent.iterdir()) == before  # nothing outside of the folder
    assert {one.name for one in tmp_path.iterdir()} <= {"g.jsonl", "out"}
