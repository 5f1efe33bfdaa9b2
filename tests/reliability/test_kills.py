"""The harness of kills with a small budget; ``python tests/reliability/kills.py --kills 20`` is the large one.

``DETOXBENCH_KILLS=3 pytest tests/reliability`` kills every command so often; without it only those that need no model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = os.environ.get("DETOXBENCH_KILLS")
QUICK = ("score", "archive import", "submit", "leaderboard build")
"""A second or two each; the others load a model."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_nothing_is_lost_and_nothing_broken():
    chosen = [] if KILLS else ["--jobs", *QUICK]
    command = [sys.executable, str(Path(__file__).with_name("kills.py")), "--kills", KILLS or "1", *chosen]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    rows = [line for line in done.stdout.splitlines()[2:] if line.startswith("|")]
    assert rows, done.stderr[-3000:]
    wrong = [
        row for row in rows if any(not cell.strip().startswith(("held", "not tried")) for cell in row.split("|")[2:-1])
    ]
    assert (wrong, done.returncode) == ([], 0), done.stderr[-3000:]
