"""Prompt sets as lm-eval tasks: chat instructions, protocols, results per group, and what is refused before a model is
loaded. A stand-in for the model records what it is asked."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any, ClassVar

import lm_eval
import pytest
import typer
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from prompt_rows import ptp_row, rtp_lx_row, write_jsonl

from detoxbench.core import mini, results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.metrics.fractions import summarize
from detoxbench.core.records import SampleRow
from detoxbench.harness.cli.groups import _read
from detoxbench.tasks import registration
from detoxbench.tasks.groups import split, summarize_groups
from detoxbench.tasks.instructions import INSTRUCTIONS, without_prompt
from detoxbench.tasks.preflight import asks_with_one_seed

METADATA = {"scorer": "fixture:de+en+es+fr+sv", "fluency_model": "none", "samples": 2}


class Recorder(LM):
    """Answers every request with the same words, and keeps the requests."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def generate_until(self, requests, disable_tqdm=False):
        self.asked += [request.args for request in requests]
        return [" il fait beau" for _ in requests]

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood

    def chat_template(self, chat_template=False):
        return "<chat>"

    @property
    def tokenizer_name(self):
        return "recorder"

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in chat_history) + "<assistant>"


def evaluate(model, tasks, metadata, **options):
    """With our tasks alone: lm-eval's index of its own thousands takes seconds."""
    manager = TaskManager(include_defaults=False, metadata=metadata)
    registration.register(manager)
    return lm_eval.simple_evaluate(
        model, tasks=tasks, metadata=metadata, task_manager=manager, bootstrap_iters=0, **options
    )


def run(tasks, metadata, **options):
    lm = Recorder()
    return lm, evaluate(lm, tasks, {**METADATA, **metadata}, **options)


@pytest.fixture
def mixed(tmp_path):
    rows = [
        {"text": "Le {{ voisin }}", "lang": "fr", "domain": "news", "kind": ["a", "b"]},
        {"text": "The neighbour", "lang": "eng", "domain": "news", "kind": ["a"]},
        {"text": "Naboen", "lang": "da", "domain": "[bold]x\n", "kind": []},
    ]
    return str(write_jsonl(tmp_path / "mine.jsonl", rows))


def test_a_file_in_several_languages_and_its_groups(mixed, tmp_path):
    lm, found = run(["prompts_file"], {"prompts": mixed, "group": "domain,kind", "on_unsupported": "nan"})
    assert {context for context, _ in lm.asked} == {"Le {{ voisin }}", "The neighbour", "Naboen"}
    config = found["configs"]["prompts_file"]
    block = config["detoxbench"]
    assert (block["prompt_set"], block["lang"], block["protocol"]) == ("mine.jsonl", None, "base")
    groups = config["detoxbench_groups"]
    assert {grouping: {v: e["prompts"] for v, e in values.items()} for grouping, values in groups.items()} == {
        "domain": {"news": 2, "[bold]x\n": 1},
        "kind": {"a": 2, "b": 1},
    }
    # Danish is none of the embedded scorer's languages: unscored and counted, never a number.
    assert groups["domain"]["[bold]x\n"]["expected_max_toxicity"] == [None, None, None]
    assert groups["domain"]["[bold]x\n"]["failed_fraction"] == [1.0, None, None]
    value, low, high = groups["domain"]["news"]["expected_max_toxicity"]
    assert 0 <= value <= 1
    assert (low, high) == (None, None)  # of two prompts
    for sample in found["samples"]["prompts_file"]:
        restored = SampleRow.model_validate(json.loads(json.dumps(sample, default=str))).result()
        assert restored.prompt.groups == sample["doc"]["groups"]


def test_the_groups_command(mixed, tmp_path):
    from typer.testing import CliRunner

    from detoxbench.harness.cli.groups import groups

    _, found = run(["prompts_file"], {"prompts": mixed, "group": ["domain", "kind"], "on_unsupported": "nan"})
    path = tmp_path / "results_2026-01-01T00-00-00.json"
    path.write_text(json.dumps({key: found[key] for key in ("configs", "results")}, default=str))
    assert _read(results.find(path)[0])[0]["groups"]["kind"]["b"]["prompts"] == 1
    app = typer.Typer()
    app.command()(groups)
    shown = CliRunner().invoke(app, [str(path), "--by", "domain"])
    assert shown.exit_code == 0, shown.output
    assert "[bold]x\N{REPLACEMENT CHARACTER}" in shown.output
    assert "by kind" not in shown.output
    printed = json.loads(CliRunner().invoke(app, [str(path), "--json"]).output)
    assert set(printed[0]["groups"]) == {"domain", "kind"}
    assert isinstance(CliRunner().invoke(app, [str(path), "--by", "axis"]).exception, DetoxbenchError)


def test_chat_models_are_told_to_continue_in_the_prompts_language(mixed):
    lm, found = run(["prompts_file"], {"prompts": mixed, "on_unsupported": "nan"}, apply_chat_template=True)
    assert f"<user>{INSTRUCTIONS['fr']}\n\nLe {{{{ voisin }}}}<assistant>" in {context for context, _ in lm.asked}
    block = found["configs"]["prompts_file"]["detoxbench"]
    assert (block["protocol"], block["instruction_langs"]) == ("chat", ["en", "fr"])


@pytest.fixture(scope="module")
def french(tmp_path_factory):
    rows = [ptp_row(0, "Le voisin", 0.7), ptp_row(1, "Il", 0.1)]
    return str(write_jsonl(tmp_path_factory.mktemp("ptp") / "fr.jsonl", rows))


def test_the_protocol_sets_k_length_and_temperature_and_is_in_results(french):
    path = french.replace("fr.jsonl", "{lang}.jsonl")
    seen = {}
    for protocol in (None, "ptp", "rtp"):
        options = {"path": path, "subset": "small"} | ({"protocol": protocol} if protocol else {})
        lm = Recorder()
        found = evaluate(lm, ["ptp_fra"], {"scorer": "fixture", "fluency_model": "none", **options})
        block = found["configs"]["ptp_fr"]["detoxbench"]
        settings = [lm.asked[0][1][name] for name in ("max_gen_toks", "temperature", "top_p")]
        seen[protocol] = (len(lm.asked), block["samples"], *settings)
        assert block["sampling_protocol"] == (protocol or "ptp")
        assert (block["lang"], block["subset"], block["prompt_set"]) == ("fr", "small", "ptp/small")
    assert seen[None] == seen["ptp"] == (20, 10, 512, 0.7, 1.0)
    assert seen["rtp"] == (50, 25, 20, 1.0, 0.9)


def test_a_prefix_is_put_before_every_prompt(french):
    metadata = {"path": french.replace("fr.jsonl", "{lang}.jsonl"), "prefix": "On s'en fiche. "}
    lm, found = run(["ptp_fr"], metadata)
    assert {context for context, _ in lm.asked} == {"On s'en fiche. Le voisin", "On s'en fiche. Il"}
    assert found["configs"]["ptp_fr"]["detoxbench"]["prefix"] == "On s'en fiche. "


def test_a_group_of_languages_is_their_mean(tmp_path):
    for name, toxicity in (("RTP_LX_FR.json", 1.0), ("RTP_LX_ES.json", 3.0)):
        write_jsonl(tmp_path / name, [rtp_lx_row(1, "Le voisin", toxicity)])
    _, found = run(["rtp_lx_fra", "rtp_lx_ES"], {"path": str(tmp_path)})
    assert found["results"]["rtp_lx_fr"]["expected_max_toxicity_nontoxic_prompts,none"] >= 0
    assert found["configs"]["rtp_lx_es"]["detoxbench_groups"]["human_toxicity"]["3"]["prompts"] == 1
    with pytest.raises(DetoxbenchError, match="no file RTP_LX_AR.json"):
        run(["rtp_lx"], {"path": str(tmp_path)})


@pytest.mark.parametrize(
    ("task", "metadata", "message"),
    [
        ("rtp_lx_th", {}, "get RTP-LX/RTP-LX.zip"),
        ("ptp_de", {"path": "/nowhere"}, "there is no such file or folder"),
        ("prompts_file", {"prompt": "x.jsonl"}, "did you mean 'prompts'"),
        ("prompts_file", {}, "needs a file or a hub dataset"),
        ("rtp", {"bad_rows": "drop"}, "bad_rows='drop'"),
    ],
)
def test_refused_before_the_model_is_loaded(task, metadata, message):
    with pytest.raises(DetoxbenchError, match=message):
        lm_eval.simple_evaluate(model="hf", model_args="pretrained=/nowhere/model", tasks=[task], metadata=metadata)


def test_a_language_that_the_scorer_cannot_do_is_refused_before_the_model_is_loaded(tmp_path):
    path = str(write_jsonl(tmp_path / "p.jsonl", [{"text": "Naboen", "lang": "da"}]))
    with pytest.raises(DetoxbenchError, match=r"task 'prompts_file': scorer 'fixture' does not support language 'da'"):
        lm_eval.simple_evaluate(
            model="hf",
            model_args="pretrained=/nowhere/model",
            tasks=["prompts_file"],
            metadata={"prompts": path, "scorer": "fixture:en", "fluency_model": "none"},
        )


def test_lm_evals_own_models(french):
    """``hf`` with a chat template, and ``dummy``."""
    from lm_eval.models.huggingface import HFLM

    metadata = {"path": french.replace("fr.jsonl", "{lang}.jsonl"), "protocol": "rtp", **METADATA}
    lm = HFLM(pretrained=str(mini.MODEL), device="cpu")
    lm.tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    found = lm_eval.simple_evaluate(model=lm, tasks=["ptp_fr"], metadata=metadata, apply_chat_template=True)
    (sample, _) = found["samples"]["ptp_fr"]
    assert len(sample["filtered_resps"][0]) == 2
    assert sample["arguments"][0][0].startswith(f"user: {INSTRUCTIONS['fr']}")
    assert found["configs"]["ptp_fr"]["detoxbench"]["protocol"] == "chat"
    found = evaluate("dummy", "ptp_fra", metadata)
    assert found["results"]["ptp_fr"]["measured,none"] == 2


def test_the_sha256_is_of_the_prompts_used(french):
    metadata = {"path": french.replace("fr.jsonl", "{lang}.jsonl")}
    hashes = {}
    for name, options in {
        "all": {}, "first": {"limit": 1}, "same": {"samples": {"ptp_fr": [0]}}, "second": {"samples": {"ptp_fr": [1]}}
    }.items():  # fmt: skip
        _, found = run(["ptp_fr"], metadata, **options)
        hashes[name] = found["configs"]["ptp_fr"]["detoxbench"]["prompts_sha256"]
    assert hashes["first"] == hashes["same"]
    assert len(set(hashes.values())) == 3


def test_copies_are_no_samples(french, caplog):
    run(["ptp_fr"], {"path": french.replace("fr.jsonl", "{lang}.jsonl")})
    assert "the 2 continuations of each prompt are copies of one" in caplog.text
    caplog.clear()
    run(["ptp_fr"], {"path": french.replace("fr.jsonl", "{lang}.jsonl"), "samples": 1})
    assert "copies" not in caplog.text


def test_the_password_is_not_written_into_the_tasks_record(tmp_path):
    write_jsonl(tmp_path / "RTP_LX_FR.json", [rtp_lx_row(1, "Le voisin", 1.0)])
    _, found = run(["rtp_lx_fr"], {"path": str(tmp_path), "password": "hunter2"})
    assert "hunter2" not in json.dumps(found["configs"], default=str)


def test_groups_by_hand():
    labels = [["axis=a", "kind=x", "kind=y"], ["axis=a"], ["axis=b=c", "kind=x", "kind=x"]]
    assert split(labels) == {"axis": {"a": [0, 1], "b=c": [2]}, "kind": {"x": [0, 2], "y": [0]}}
    assert split([]) == {}
    from detoxbench.core.metrics.fractions import names

    rows = [{name: (float(place), 1.0) for name in names()} for place in range(3)]
    found = summarize_groups(labels, rows)
    assert found["axis"]["a"]["toxic_fraction"][0] == 0.5
    assert found["axis"]["b=c"]["toxic_fraction"] == [2.0, None, None]
    assert found["kind"]["x"]["toxic_fraction"][0] == summarize([rows[0], rows[2]])["toxic_fraction"].value
    nothing = [dict.fromkeys(names(), (0.0, 0.0))]
    assert summarize_groups([["axis=a"]], nothing)["axis"]["a"]["toxic_fraction"] == [None, None, None]


class Server(http.server.BaseHTTPRequestHandler):
    """An OpenAI-style endpoint that keeps what it is asked."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self):
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        words = f" il fait beau {len(self.asked)}"
        answer = json.dumps({"choices": [{"index": 0, "text": words, "message": {"content": words}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def test_models_behind_an_api_are_not_asked_with_one_seed(french):
    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    metadata = {"path": french.replace("fr.jsonl", "{lang}.jsonl"), **METADATA}
    for model, end, chat in (("local-completions", "completions", False), ("local-chat-completions", "chat", True)):
        Server.asked.clear()
        options = {"model": "x", "base_url": f"{url}/{end}", "tokenizer_backend": None}
        found = evaluate(model, ["ptp_fr"], metadata, model_args=options, apply_chat_template=chat)
        assert len(Server.asked) == 4
        assert {(request["seed"], request["temperature"], request["max_tokens"]) for request in Server.asked} == {
            (None, 0.7, 512)
        }
        assert ("messages" in Server.asked[0]) is chat
        assert found["configs"]["ptp_fr"]["detoxbench"]["generation"]["seed"] is None
        assert len({text for sample in found["samples"]["ptp_fr"] for text in sample["filtered_resps"][0]}) == 4
    server.shutdown()
    assert not asks_with_one_seed("hf")
    assert not asks_with_one_seed("anthropic-chat-completions")
    assert not asks_with_one_seed(Recorder())


class Parrot(Recorder):
    """A chat model that repeats what it was asked to continue, in two of three replies."""

    def generate_until(self, requests, disable_tqdm=False):
        prompts = [request.args[0].split("\n\n")[-1].split("<assistant>")[0] for request in requests]
        ways = ["“{}” il fait beau", " il fait beau", "{} il fait beau"]
        return [ways[at % 3].format(prompt) for at, prompt in enumerate(prompts)]


def test_a_reply_that_repeats_its_prompt_is_scored_without_it(tmp_path):
    path = write_jsonl(tmp_path / "mine.jsonl", [{"text": "Le voisin est", "lang": "fr"}])
    options = {**METADATA, "samples": 3, "prompts": str(path)}
    found = evaluate(Parrot(), ["prompts_file"], options, apply_chat_template=True)
    (sample,) = found["samples"]["prompts_file"]
    assert sample["filtered_resps"][0] == [" il fait beau"] * 3
    assert found["configs"]["prompts_file"]["detoxbench"]["repeated_prompts"] == 2
    assert (
        run(["prompts_file"], {"prompts": str(path)})[1]["configs"]["prompts_file"]["detoxbench"]["repeated_prompts"]
        == 0
    )


@pytest.mark.parametrize(
    ("reply", "added"),
    [("Le voisin est parti.", " parti."), ("« Le voisin est», dit-il", ", dit-il"), ("Le voisin", None), ("", None),
     ("Oui. Le voisin est parti.", None), ("Le voisin est", "")],
)  # fmt: skip
def test_what_a_reply_adds(reply, added):
    assert without_prompt(reply, "Le voisin est ") == added
    assert without_prompt(reply, " ") is None
