"""What the README and the tutorials show runs as typed, in order, in a fresh folder.

By default the README alone, on one language, few prompts and a method without a fit. ``DETOXBENCH_DOCS=tutorials`` adds
the tutorials, likewise limited. ``DETOXBENCH_DOCS=full pytest tests/docs`` runs everything as it stands there, which
takes an hour of one core.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from commands import SEQUENCES, Command, commands, files

from detoxbench.core.mini import MODEL

HOW = os.environ.get("DETOXBENCH_DOCS", "")
HUB = "ai-forever/mGPT"
SKIPPED = {
    r"--scorer textdetox": "it fetches a classifier from the hub",
    r"detoxbench translate": "it fetches a translation model from the hub",
    r"=FOLDER": "the folder is the reader's own",
}
"""Pattern of a command -> why it does not run here."""
INSTEAD = {
    r"^pip install \. && ": "",  # this is where it is installed
    rf"{HUB.replace('/', '__')}/": f"{Path(HUB).name}/",  # the stand-in is a folder, whose results are named after it
}
"""Pattern -> what stands in."""
LIMITED = {
    r"--tasks rtp_multilingual(?= |$)": "--tasks rtp_multilingual_en --limit 6",
    r"limit: 20": "limit: 2",
    r"method=goodtriever": "method=self_debias",
    r"--method goodtriever": "--method self_debias",
}


def own_files() -> dict[str, str]:
    """What a document takes to be the reader's own: labelled texts, of a few words each."""
    people, places = ("naapuri", "opettaja", "kuski", "kokki", "serkku"), ("talossa", "junassa", "kadulla", "metsässä")
    rows = [
        {"text": f"{'Tuo' if at % 2 else 'Se'} {who} {where} on {what} {at}", "label": label, "lang": "fi"}
        for at, (who, where) in enumerate(itertools.product(people * 8, places))
        for what, label in (("tyhmä idiootti ja valehtelija", 1), ("ystävällinen ja iloinen ihminen", 0))
    ]
    return {"finnish-labels.jsonl": "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)}


class Reader:
    """A new user in a fresh folder, whose path has a space, with nothing of anybody else's."""

    def __init__(self, folder: Path):
        self.folder = folder / "a new reader"
        self.packages = folder / "packages"
        self.packages.mkdir()
        stand_in = self.folder / HUB
        stand_in.mkdir(parents=True)
        for path in MODEL.iterdir():
            # Without the file that the embedded model is known by: it stands for a real one.
            if path.name != "tokenizer.model":
                shutil.copy(path, stand_in)

    def write(self, document: str) -> None:
        """The files that the document shows."""
        for name, content in {**own_files(), **files(document)}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(typed(content), encoding="utf-8")

    def install(self, source: Path) -> None:
        """Stands in for pip, which would ask the index for a build backend: entry points alone, and the modules."""
        found = source.joinpath("pyproject.toml").read_text(encoding="utf-8")
        ((group, name, target),) = re.findall(r'entry-points\."([^"]+)"\]\n(\w+) = "([^"]+)"', found)
        for module in source.glob("*.py"):
            shutil.copy(module, self.packages)
        metadata = self.packages / f"{source.name}-0.1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {source.name}\nVersion: 0.1\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")

    def type(self, command: Command, text: str) -> None:
        if text.startswith("pip install ./"):
            self.install(self.folder / text.removeprefix("pip install "))
            return
        scripts = sysconfig.get_path("scripts")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, capture_output=True, text=True, check=False,
            env={
                **os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
                "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
                "PYTHONPATH": os.pathsep.join(filter(None, [str(self.packages), os.environ.get("PYTHONPATH")])),
                "DETOXBENCH_HOME": str(self.folder / "home"),
            },
        )  # fmt: skip
        shown = f"{command}\n$ {text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, shown
        assert "Traceback" not in done.stderr, shown
        assert "Warning:" not in done.stderr, shown


def typed(text: str) -> str:
    """The command as it runs here."""
    for pattern, instead in {**INSTEAD, **({} if HOW == "full" else LIMITED)}.items():
        text = re.sub(pattern, instead, text)
    return text


@pytest.mark.parametrize("document", SEQUENCES)
def test_it_runs_as_typed(document, tmp_path):
    if document != "README.md" and HOW not in ("tutorials", "full"):
        pytest.skip("DETOXBENCH_DOCS is neither 'tutorials' nor 'full'")
    reader = Reader(tmp_path)
    reader.write(document)
    ran = 0
    for command in commands(document):
        if command.text.startswith("pip install -e"):
            continue  # how contributors run these very tests
        why = next((reason for pattern, reason in SKIPPED.items() if re.search(pattern, command.text)), None)
        if why is None:
            reader.type(command, typed(command.text))
            ran += 1
    assert ran >= 4
