"""Seconds and peak memory of merging N fine-tuned models and taking them from their base, each way in its own process.

    python benchmarks/merge.py                  # GPT-2-small-shaped, N = 5, against a stand-in for the published code
    python benchmarks/merge.py --size 1.3b      # ours alone, on sparse bf16 files; 7b likewise
    python benchmarks/merge.py --all            # 124m and 1.3b

The stand-in does what published code does: loads base and fine-tuned models with transformers, adds up state dicts,
saves. Seconds are without imports, with hashing and writing; peak memory is the process's, imports included.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SHAPES = {  # layers, width, intermediate, vocabulary, bytes of a file
    "124m": (12, 768, 3072, 50_257, 5_000_000_000),
    "1.3b": (24, 2048, 5504, 50_304, 5_000_000_000),
    "7b": (32, 4096, 11_008, 32_000, 5_000_000_000),
}


def tensors(size: str) -> dict[str, list[int]]:
    """Names and shapes: of GPT-2 for 124m, else of Llama."""
    layers, width, inner, vocabulary, _ = SHAPES[size]
    if size == "124m":
        shapes = {"wte.weight": [vocabulary, width], "wpe.weight": [1024, width]}
        for layer in range(layers):
            for name, shape in {
                "ln_1": [width], "attn.c_attn": [width, 3 * width], "attn.c_proj": [width, width], "ln_2": [width],
                "mlp.c_fc": [width, inner], "mlp.c_proj": [inner, width],
            }.items():  # fmt: skip
                shapes |= {f"h.{layer}.{name}.weight": shape, f"h.{layer}.{name}.bias": shape[-1:]}
        shapes |= {"ln_f.weight": [width], "ln_f.bias": [width]}
        return {f"transformer.{name}": shape for name, shape in shapes.items()}
    shapes = {"model.embed_tokens.weight": [vocabulary, width], "lm_head.weight": [vocabulary, width]}
    for layer in range(layers):
        for name, shape in {
            "self_attn.q_proj": [width, width], "self_attn.k_proj": [width, width], "self_attn.v_proj": [width, width],
            "self_attn.o_proj": [width, width], "mlp.gate_proj": [inner, width], "mlp.up_proj": [inner, width],
            "mlp.down_proj": [width, inner], "input_layernorm": [width], "post_attention_layernorm": [width],
        }.items():  # fmt: skip
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    return {**shapes, "model.norm.weight": [width]}


def sparse_model(folder: Path, size: str) -> None:
    """A bf16 checkpoint of holes: it takes no room on the disk, and is read as zeros."""
    folder.mkdir()
    files: list[dict[str, list[int]]] = [{}]
    used = 0
    for name, shape in tensors(size).items():
        nbytes = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        if files[-1] and used + nbytes > SHAPES[size][4]:
            files.append({})
            used = 0
        files[-1][name] = shape
        used += nbytes
    names = [f"model-{at:05d}-of-{len(files):05d}.safetensors" for at in range(1, len(files) + 1)]
    where = {}
    for name, held in zip(names, files, strict=True):
        at, header = 0, {}
        for tensor, shape in held.items():
            end = at + 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
            at, where[tensor] = end, name
        text = json.dumps(header).encode()
        with (folder / name).open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + at)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": "bfloat16"}))


def random_models(folder: Path, count: int) -> None:
    """A base and fine-tuned models, GPT-2 small's shape, float32."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config())
    model.save_pretrained(folder / "base")
    for part in range(count):
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=1e-3)
        model.save_pretrained(folder / f"part_{part}")


def ours(folder: Path, out: Path) -> None:
    from detoxbench.methods.merging import checkpoint, vectors, write
    from detoxbench.methods.merging.align import base_of

    def work() -> None:
        base = checkpoint.open_checkpoint(folder / "base")
        write.merge(base, vectors.TaskVectors(base_of(base), sorted(folder.glob("part_*")), 1.0), out)

    _measured(work)


def theirs(folder: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GPT2LMHeadModel  # noqa: F401, imported before the clock starts

    def work() -> None:
        state = [AutoModelForCausalLM.from_pretrained(path).state_dict() for path in sorted(folder.glob("part_*"))]
        mean = {name: sum(one[name] for one in state) / len(state) for name in state[0]}
        model = AutoModelForCausalLM.from_pretrained(folder / "base")
        base = model.state_dict()
        with torch.no_grad():
            vector = {name: mean[name] - base[name] for name in base}
            model.load_state_dict({name: base[name] - vector[name] for name in base})
        model.save_pretrained(out)

    _measured(work)


def _measured(work) -> None:
    """Print seconds and peaks in MB: of the imports, and at the end. Linux keeps a fork's peak: it is reset first."""
    import time

    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    start = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - start, "imports": before, "peak": _peak()}))


def _peak() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def child(way: str, folder: Path) -> dict[str, float]:
    out = folder / "merged"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, "--child", way, "--folder", str(folder), "--out", str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(size: str, count: int, repeats: int, root: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    folder = root / size
    folder.mkdir()
    if size == "124m":
        random_models(folder, count)
    else:
        for name in ("base", *(f"part_{part}" for part in range(count))):
            sparse_model(folder / name, size)
        total = sum(path.stat().st_size for path in (folder / "base").iterdir())
        if shutil.disk_usage(folder).free < 1.1 * total:
            sys.exit(f"{folder}: {total / 1e9:.1f} GB are needed for the result; name another --root")
    ways = ("ours", "theirs") if size == "124m" else ("ours",)
    runs = {way: [] for way in ways}
    for run in range(repeats):
        for way in ways if run % 2 else reversed(ways):
            runs[way].append(child(way, folder))
    shapes = tensors(size).values()
    largest = (
        max(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes) * (4 if size == "124m" else 2) / 1e6
    )
    table = Table(f"{size}, N = {count}", "seconds", "peak MB", "of it imports MB", "2 x largest tensor + 500 MB")
    for way, found in runs.items():
        seconds, peak, imports = (
            statistics.median(run[key] for run in found) for key in ("seconds", "peak", "imports")
        )
        table.add_row(way, f"{seconds:.2f}", f"{peak:,.0f}", f"{imports:,.0f}", f"{2 * largest + 500:,.0f}")
    Console().print(table)
    if len(ways) == 2:
        ratios = [b["seconds"] / a["seconds"] for a, b in zip(runs["ours"], runs["theirs"], strict=True)]
        print(f"ours is {statistics.median(ratios):.1f} times as fast ({' '.join(f'{ratio:.1f}' for ratio in ratios)})")
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="124m")
    parser.add_argument("--all", action="store_true", help="124m and 1.3b")
    parser.add_argument("--models", type=int, default=5, help="fine-tuned models")
    parser.add_argument("--repeats", type=int, default=3, help="paired runs; the medians are shown")
    parser.add_argument("--root", type=Path, default=None, help="where the checkpoints are made and removed again")
    parser.add_argument("--child", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        {"ours": ours, "theirs": theirs}[options.child](options.folder, options.out)
        return
    with tempfile.TemporaryDirectory(dir=options.root) as root:
        for size in ("124m", "1.3b") if options.all else (options.size,):
            measure(size, options.models, options.repeats if size == "124m" else 1, Path(root))


if __name__ == "__main__":
    main()
