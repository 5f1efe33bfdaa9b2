"""Fixtures shared by all tests: no network, tiny random models, one thread."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

# A package installed for the tests alone: its entry points are found here and in the processes that tests start.
FIXTURES = str(Path(__file__).parent / "fixture_package")
sys.path.append(FIXTURES)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), FIXTURES)))

torch.set_num_threads(1)  # the models are tiny: a second thread costs more than it brings


def tiny_gpt2(
    vocab: int = 101, seed: int = 0, peak: float = 6.0, dtype: torch.dtype = torch.float64
) -> GPT2LMHeadModel:
    """A random GPT-2 of 2 layers x 32; in double precision, so that batching changes no bit that matters."""
    torch.manual_seed(seed)
    config = GPT2Config(
        n_layer=2, n_embd=32, n_head=4, vocab_size=vocab, n_positions=64, bos_token_id=0, eos_token_id=0, pad_token_id=0
    )
    model = GPT2LMHeadModel(config).eval().to(dtype)
    model.transformer.ln_f.weight.data.mul_(peak)
    return model


@pytest.fixture(scope="session")
def model() -> GPT2LMHeadModel:
    return tiny_gpt2()


@pytest.fixture(scope="session")
def samples_folder() -> Path:
    """Real sample data, where ``DETOXBENCH_SAMPLES`` says it is."""
    folder = os.environ.get("DETOXBENCH_SAMPLES")
    if not folder or not Path(folder).is_dir():
        pytest.skip("DETOXBENCH_SAMPLES is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, one in a process: a second beside it is refused ("Sync API inside the asyncio loop")."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no chromium is installed (apt-get install chromium, or name one in CHROMIUM)")
    with playwright.sync_playwright() as started:
        # Containers run as root and without the kernel's namespaces, where Chromium's sandbox cannot start.
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()
