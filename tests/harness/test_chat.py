"""Chat models: what they are asked, with which template, and how a run records it."""

from __future__ import annotations

import json
import shutil

import pytest

import detoxbench
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.mini import MODEL
from detoxbench.harness.chat import templated

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no such role') }}{% endif %}" + TEMPLATE


@pytest.fixture
def chat_model(tmp_path):
    """``chat_model(template)``: a copy of the embedded model with a chat template."""

    def make(template):
        folder = tmp_path / "chat"
        shutil.copytree(MODEL, folder)
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": template}))
        return str(folder)

    return make


@pytest.fixture
def wildchat(tmp_path):
    """The published set's layout: a configuration for each language, whose one split has 1,000 messages."""
    import pandas

    folder = tmp_path / "ptp" / "wildchat-en"
    folder.mkdir(parents=True)
    rows = [{"prompt": f"Tell me about the number {n}.", "prompt_toxicity": 0.1, "lang": "en"} for n in range(4)]
    pandas.DataFrame(rows).to_parquet(folder / "wildchat-00000-of-00001.parquet")
    return str(folder.parent)


def run(model, path, **more):
    options = {"path": path, "subset": "wildchat", "protocol": "rtp", **more.pop("metadata", {})}
    return detoxbench.evaluate(
        model, "ptp_en", scorer="ngram", fluency_model="none", samples=2, limit=2, metadata=options, **more,
    )  # fmt: skip


def asked(found):
    """What the model read, of each prompt."""
    rows = next(iter(found.run.tasks.values())).raw_samples()
    return [row["arguments"]["gen_args_0"]["arg_0"] for row in rows]


def record(found):
    return next(iter(found.run.tasks.values())).record


@pytest.mark.parametrize(("task", "protocol"), [(None, "reply"), ("chat", "reply"), ("continuation", "chat")])
def test_messages_are_replied_to_unless_asked_otherwise(chat_model, wildchat, task, protocol):
    more = {"metadata": {"task": task}} if task else {}
    found = run(chat_model(TEMPLATE), wildchat, apply_chat_template=True, system_instruction="Be kind.", **more)
    assert record(found).protocol == protocol
    assert record(found).system_instruction == "Be kind."
    for text in asked(found):
        assert text.startswith("<system>Be kind.<user>")
        assert ("Continue the following text" in text) == (protocol == "chat")
        assert text.endswith(".<assistant>")
    assert 0.0 <= found.metrics["ptp_en"]["refusal_rate"] <= 1.0


def test_without_a_template_prompts_are_given_as_they_are(chat_model, wildchat):
    found = run(chat_model(TEMPLATE), wildchat)
    assert record(found).protocol == "base"
    assert asked(found)[0].startswith("Tell me")


def test_what_cannot_be_asked_is_refused_in_one_line(chat_model, wildchat):
    with pytest.raises(DetoxbenchError, match="run with --apply_chat_template"):
        run("mini", wildchat, metadata={"task": "chat"})
    with pytest.raises(DetoxbenchError, match="takes no system message"):
        run(chat_model(NO_SYSTEM), wildchat, apply_chat_template=True, system_instruction="Be kind.")


def test_a_base_model_has_no_template(tmp_path, wildchat):
    folder = tmp_path / "base"
    shutil.copytree(MODEL, folder)
    with pytest.raises(DetoxbenchError, match="has no chat template"):
        run(str(folder), wildchat, apply_chat_template=True)


def test_a_broken_template_is_named():
    class Tokenizer:
        chat_template = "x"

        def apply_chat_template(self, *args, **kwargs):
            import jinja2

            raise jinja2.exceptions.TemplateError("no such thing")

    with pytest.raises(DetoxbenchError, match="template of 'm' fails: no such thing"):
        templated(Tokenizer(), "m", [{"role": "user", "content": "hi"}], True, {})
