"""What we touch of lm-eval's private parts is still there, and does what we take it to do."""

from __future__ import annotations

import argparse
import contextlib
import inspect
from types import ModuleType, SimpleNamespace

import lm_eval._cli.harness
import lm_eval._cli.run
import lm_eval.api.registry
import lm_eval.evaluator
import lm_eval.loggers.utils
import lm_eval.tasks.manager
import lm_eval.utils
import pytest
from lm_eval._cli.utils import try_parse_json
from lm_eval.api.model import LM, CacheHook, CachingLM
from lm_eval.config.evaluate_config import EvaluatorConfig
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from transformers import GPT2Config

from detoxbench.core import lm_eval_private as private


def module_with(**attributes) -> ModuleType:
    made = ModuleType("stands_for_lm_eval")
    vars(made).update(attributes)
    return made


def test_context_lengths():
    assert private.max_positions(GPT2Config(n_positions=64), default=7) == 64
    assert private.max_positions(SimpleNamespace(), default=7) == 7


def test_arguments_as_lm_eval_reads_them():
    assert private.parsed("a=1,b=x,c=0.5,d=true") == {"a": 1, "b": "x", "c": 0.5, "d": True}
    assert private.parsed({"a": 1}) == {"a": 1}
    assert private.parsed(None) == private.parsed("") == {}


def test_models():
    assert private.model_class("hf") is HFLM
    assert private.model_class("no-such-model") is None
    private.register_model("hf", "nowhere:Nothing")
    assert private.model_class("hf") is HFLM


def test_the_arguments_of_a_run_by_name():
    names = set(inspect.signature(inspect.unwrap(lm_eval.evaluator.simple_evaluate)).parameters)
    assert {"model", "model_args", "tasks", "use_cache", "gen_kwargs", "torch_random_seed", "metadata"} <= names
    order = []

    @contextlib.contextmanager
    def around(given):
        order.append(dict(given))
        given["b"] = 5
        yield
        order.append("left")

    module = module_with(simple_evaluate=lambda a, b=2, *, c=3: order.append((a, b, c)))
    private.wrap_simple_evaluate(module, around)
    module.simple_evaluate(1)
    assert order == [{"a": 1, "b": 2, "c": 3}, (1, 5, 3), "left"]


def test_managers_look_in_our_folder_first(tmp_path):
    (tmp_path / "mine.yaml").write_text("task: mine\ndataset_path: json\noutput_type: generate_until\n")
    original = inspect.unwrap(lm_eval.tasks.manager.TaskManager.__init__)
    kind = type("TaskManager", (lm_eval.tasks.manager.TaskManager,), {"__init__": original})
    seen = []
    private.wrap_task_manager(module_with(TaskManager=kind), tmp_path, str.lower, seen.append)
    manager = kind()
    assert seen == [manager]
    assert manager.match_tasks(["MINE"]) == ["mine"]
    assert "mine" not in kind(include_defaults=False, include_path=str(tmp_path.parent / "none")).task_index


def test_tasks_and_groups_in_memory():
    manager = lm_eval.tasks.manager.TaskManager()
    known = next(iter(manager.task_index))
    before = manager.task_index[known]
    private.add_tasks(manager, {"new_task": {"task": "new_task"}, known: {}}, {"new_group": {"group": "new_group"}})
    assert manager.task_index[known] is before
    assert "new_task" in manager.all_subtasks
    assert "new_group" in manager.all_groups
    assert {"new_task", "new_group"} <= set(manager.all_tasks)


def test_yaml_functions_are_left_alone(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text("task: one\nprocess: !function nowhere.nothing\n")
    assert private.task_yaml(path)["task"] == "one"


def test_tables():
    assert callable(lm_eval.utils.make_table)
    module = module_with(make_table=lambda results, column="results": (results, column))
    private.wrap_make_table(module, lambda results: {**results, "seen": True})
    assert module.make_table({"a": 1}, "groups") == ({"a": 1, "seen": True}, "groups")


def test_commands():
    """Every way to start lm-eval goes through these two."""
    kind = lm_eval._cli.harness.HarnessCLI
    assert callable(kind.parse_args)
    assert callable(kind.execute)
    inside = []

    @contextlib.contextmanager
    def around():
        inside.append(True)
        yield
        inside.append(False)

    class HarnessCLI:
        def parse_args(self):
            return inside[-1]

        def execute(self, args):
            return args, inside[-1]

    private.wrap_commands(module_with(HarnessCLI=HarnessCLI), around)
    command = HarnessCLI()
    assert command.execute(command.parse_args()) == (True, True)
    assert inside == [True, False, True, False]


def test_what_a_run_prints_last():
    """``run`` prints what ``make_table`` gives for results, and again for groups."""
    source = inspect.getsource(lm_eval._cli.run.Run._execute)
    assert "print(make_table(results))" in source
    assert 'print(make_table(results, "groups"))' in source
    module = module_with(make_table=lambda results, column="results", sort=False: f"{column} {results} {sort}")
    private.replace_make_table(module, lambda make, results, column: f"{make('shown')}; of {column}, not {results}")
    assert module.make_table("given") == "results shown False; of results, not given"
    assert module.make_table("given", "groups", True) == "groups shown True; of groups, not given"


@pytest.mark.parametrize(("words", "given"), [([], False), (["--our-flag"], True)])
def test_a_flag_of_ours(monkeypatch, words, given):
    seen = []

    @contextlib.contextmanager
    def around(flag):
        seen.append(flag)
        yield

    class HarnessCLI(lm_eval._cli.harness.HarnessCLI):
        def __init__(self):
            super().__init__()

        def execute(self, args):
            seen.append(vars(args).get("our_flag", "gone"))

    private.add_run_flag(module_with(HarnessCLI=HarnessCLI), "--our-flag", "what it does", around)
    command = HarnessCLI()
    monkeypatch.setattr("sys.argv", ["lm_eval", "run", "--model", "hf", "--tasks", "x", *words])
    command.execute(command.parse_args())
    assert seen == [given, "gone"]


def test_errors_that_become_one_line():
    with pytest.raises(ValueError, match="Tasks not found") as caught:
        EvaluatorConfig(model="hf", tasks=["no_such_task_at_all"]).process_tasks()
    assert private.missing_tasks(caught.value) == ["no_such_task_at_all"]
    with pytest.raises((ValueError, argparse.ArgumentTypeError), match="Invalid JSON") as broken:
        try_parse_json("{x")
    assert private.bad_json(broken.value)
    assert private.missing_tasks(ValueError("other")) == private.missing_tasks(KeyError("Tasks not found: x")) == []
    assert private.bad_json(ValueError("Invalid JSON: {x")) == "{x"
    assert private.bad_json(ValueError("x")) == ""


def test_the_cache_hook_that_our_model_refuses():
    assert CacheHook(None).dbdict is None
    assert "set_cache_hook" in inspect.getsource(CachingLM.__init__)
    assert callable(LM.set_cache_hook)


def test_what_our_model_overrides():
    for name in ("max_length", "generate_until", "_loglikelihood_tokens", "get_model_info", "tok_encode", "tok_decode",
                 "apply_chat_template", "prefix_token_id", "eot_token_id", "max_gen_toks"):  # fmt: skip
        assert hasattr(HFLM, name), name
    source = inspect.getsource(HFLM.__init__)
    for name in ("think_end_token", "mixed_precision_dtype", "add_bos_token", "tokenizer", "backend", "_model"):
        assert name in source, name


def test_the_name_of_results():
    tracker = EvaluationTracker(output_path="somewhere")
    private.name_results(tracker, "ai-forever/mGPT__dexperts")
    assert tracker.general_config_tracker.model_name == "ai-forever/mGPT__dexperts"
    assert tracker.general_config_tracker.model_name_sanitized == "ai-forever__mGPT__dexperts"
    private.name_results(None, "x")


def test_git_does_not_complain(tmp_path, monkeypatch, capfd):
    module = module_with(get_git_commit_hash=lm_eval.loggers.utils.get_git_commit_hash)
    private.quiet_git(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert module.get_git_commit_hash() is None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "near"),
    [("--taks", "--tasks"), ("--limit_", "--limit"), ("--model-argss=x=1", "--model_args"), ("--qqqqqq", None)],
)
def test_the_nearest_option(given, near, monkeypatch, capsys):
    module = module_with(HarnessCLI=type("HarnessCLI", (lm_eval._cli.harness.HarnessCLI,), {}))
    private.suggest_flags(module)
    monkeypatch.setattr("sys.argv", ["lm_eval", "--model", "detox", "--tasks", "rtp", given])
    with pytest.raises(SystemExit):
        module.HarnessCLI().parse_args()
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.endswith(f"did you mean {near}?" if near else given)


def test_an_unknown_model():
    with pytest.raises(ValueError, match="detxo") as found:
        lm_eval.api.registry.get_model("detxo")
    assert private.missing_model(found.value) == "detxo"
    assert private.missing_model(ValueError("other")) == ""
