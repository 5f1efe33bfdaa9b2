"""lm-eval finds the plugin without flags, everything else stays as it was, and nothing is left behind."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(*command: str, check: bool = True, **kwargs) -> subprocess.CompletedProcess:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, cwd=Path(sys.prefix), **kwargs
    )
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


LIST = (
    "import json; from lm_eval.tasks import TaskManager; m = TaskManager();"
    "from lm_eval.api.registry import get_model, model_registry; get_model('hf');"
    "print(json.dumps([m.all_tasks, sorted(model_registry.keys())]))"
)


def test_tasks_and_model_are_added_and_the_built_in_ones_stay():
    with_plugin = json.loads(run(sys.executable, "-c", LIST).stdout.splitlines()[-1])
    unhook = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'detoxbench' not in type(f).__module__];"
    without = json.loads(run(sys.executable, "-c", unhook + LIST).stdout.splitlines()[-1])
    assert set(without[0]) < set(with_plugin[0])
    ours = {"rtp", "ptp", "holistic", "toxigen", "prompts", "detoxbench", "unprompted", "detox"}
    assert {name.split("_")[0] for name in set(with_plugin[0]) - set(without[0])} == ours
    assert {"rtp_multilingual_ja", "rtp_lx", "rtp_lx_zh-Hans", "ptp_sv", "prompts_file"} <= set(with_plugin[0])
    assert set(with_plugin[1]) - set(without[1]) == {"detox"}


@pytest.mark.parametrize("command", [["lm_eval"], ["lm-eval"], [sys.executable, "-m", "lm_eval"]])
def test_every_way_to_start_lm_eval(command):
    if len(command) == 1:
        command = [str(Path(sysconfig.get_path("scripts")) / command[0])]
    done = run(*command, "run", "--model", "detox", "--model_args", "method=dexpertz", "--tasks", "rtp_multilingual_en",
               check=False)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("detoxbench: unknown method 'dexpertz'")
    assert "Traceback" not in done.stderr


def test_a_users_folder_overrides_ours(tmp_path):
    (tmp_path / "mine.yaml").write_text("task: rtp_multilingual_en\ndataset_path: json\noutput_type: generate_until\n")
    code = (
        f"from lm_eval.tasks import TaskManager; m = TaskManager(include_path={str(tmp_path)!r});"
        "print(m.task_index['rtp_multilingual_en'].yaml_path); print(m.include_path);"
        "print('rtp_multilingual' in TaskManager(include_defaults=False, include_path='.').all_tasks)"
    )
    lines = run(sys.executable, "-c", code).stdout.splitlines()
    assert lines == [str(tmp_path / "mine.yaml"), str(tmp_path), "False"]


def test_python_start_up_loads_three_small_modules_and_nothing_else():
    """A count instead of a time: start-up cost is what it imports. ``-S`` starts without any .pth file."""
    code = "import sys; print(' '.join(m for m in sys.modules if m.startswith(('detoxbench', 'lm_eval', 'torch'))))"
    assert run(sys.executable, "-c", code).stdout.split() == [
        "detoxbench",
        "detoxbench.harness",
        "detoxbench.harness.autoload",
    ]


def test_the_shim_is_silent_where_lm_eval_is_absent():
    code = (
        "import sys; sys.modules['lm_eval'] = None\ntry:\n import lm_eval.models\nexcept ImportError:\n print('absent')"
    )
    done = run(sys.executable, "-c", code)
    assert (done.stdout, done.stderr) == ("absent\n", "")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A virtual environment that has the wheel; its dependencies come from the running one, by a path line."""
    folder = tmp_path_factory.mktemp("wheel install")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(ROOT))
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = folder.glob("detoxbench-*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--no-deps", "-q", "--force-reinstall", str(wheel))
    return folder


def test_wheel_is_small_enough_and_whole(installed):
    import zipfile

    (wheel,) = installed.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    size = sum(i.compress_size for i in zipfile.ZipFile(wheel).infolist() if "/mini/" in i.filename)
    assert size <= 15 * 2**20
    assert "detoxbench_autoload.pth" in names
    for needed in (
        "__init__.py",
        "py.typed",
        "harness/py.typed",
        "core/mini/model/model.safetensors",
        "tasks/rtp_multilingual/_base.yaml",
        "tasks/rtp_lx/card.json",
    ):
        assert f"detoxbench/{needed}" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"detoxbench", "detoxbench_autoload.pth"}


def test_wheel_install_runs_and_uninstalls_without_a_trace(installed):
    python = installed / "env" / "bin" / "python"
    code = "import detoxbench.harness as h; print(h.__file__);" + LIST
    lines = run(str(python), "-c", code).stdout.splitlines()
    assert str(installed) in lines[0]
    facts = "d.__file__, d.__version__, d.score(['Thanks.']).scorer, len(d.methods()) > 5"
    named = f"import detoxbench as d; print({facts}, sep='\\n')"
    file, version, *found = run(str(python), "-c", named).stdout.splitlines()
    assert str(installed) in file
    assert (version, found) == (importlib.metadata.version("detoxbench"), ["ngram", "True"])
    tasks, models = json.loads(lines[-1])
    assert "rtp_multilingual" in tasks
    assert "detox" in models
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "uninstall", "-y", "-q", "detoxbench")
    left = [
        path
        for path in (installed / "env").rglob("*")
        if path.is_file() and "detoxbench" in str(path)[len(str(installed)) :]
    ]
    assert left == []
