"""Peak memory and processor time with a large vocabulary, where scores of tokens, not weights, are the largest tensors.

    python benchmarks/memory.py                            # a tiny random model of 262,144 tokens
    python benchmarks/memory.py --pretrained FOLDER        # a model of your own
    python benchmarks/memory.py --python OTHER/bin/python  # the same with another version, for a table of both

Each stage runs in a process of its own. Its peak is the kernel's (``VmHWM``), with imports and weights, which are
stages of their own too, to be subtracted. Seconds are the process's own, of all its threads: they
hold on a machine that others share.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROMPTS, SAMPLES, TOKENS = 5, 25, 20
TEXTS = 120
"""Of each side."""
SURE = 12.0
"""Added to the last norm's weights of the tiny model."""
STAGES = ("imports", "weights", "generation", "fluency", "run", "experts", "experts, LoRA", "value model")
START = """
import json, sys, time
folder, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
texts = [json.loads(line)["text"] for line in open(out + "/toxic.jsonl")]
try:
    from detoxbench.core.fluency import FluencyModel
    from detoxbench.core.sampling.engine import Request, Sampling, generate
    SCORER = "ngram"
except ImportError:  # versions before there was a core
    from detoxbench.harness.fluency import FluencyModel
    from detoxbench.harness.sampling.engine import Request, Sampling, generate
    SCORER = "mini"
from detoxbench.harness.cli import main
from transformers import AutoModelForCausalLM, AutoTokenizer
import datasets, lm_eval.models.huggingface
def load():
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval(), AutoTokenizer.from_pretrained(folder)
def fit(*arguments):
    sides = [part for side in ("toxic", "nontoxic") for part in ("--" + side, f"{out}/{side}.jsonl")]
    sys.argv = ["detoxbench", "fit", *arguments, "--pretrained", folder, "--device", "cpu", *sides]
    try:
        main()
    except SystemExit as error:
        if error.code:
            raise
start = time.process_time()
"""
CODE = {
    "imports": "",
    "weights": "load()",
    "generation": """
model, tokenizer = load()
start = time.process_time()
asked = [Request(tokenizer(text)["input_ids"][:10], at, range(25)) for at, text in enumerate(texts[:count])]
generate(model, asked, Sampling(max_new_tokens=20), eos=[])
""",
    "fluency": """
before = [" ".join(text.split()[:6]) for text in texts[:count] for _ in range(25)]
after = [" " + " ".join(text.split()[6:26]) for text in texts[:count] for _ in range(25)]
FluencyModel(folder, device="cpu").score(before, after)
""",
    "run": """
from lm_eval import simple_evaluate
simple_evaluate(
    "detox", model_args={"pretrained": folder, "device": "cpu"}, tasks=["prompts_file"], limit=count,
    metadata={"prompts": out + "/prompts.jsonl", "fluency_model": folder, "scorer": SCORER},
)
""",
    "experts, LoRA": """
fit('dexperts', '--out', out + '/lora', '--max-steps', '3', '--learning-rate', '1e-3', '--lora')
""",
    "experts": "fit('dexperts', '--out', out + '/experts', '--max-steps', '3', '--learning-rate', '1e-3')",
    "value model": """
fit('rectification', '--out', out + '/value', '--prompts', str(count), '--scorer', 'mini:reward', '--epochs', '1',
    '--own-continuations', '60')
""",
}
END = """
seconds = time.process_time() - start
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([int(peak) / 2**20, seconds]))
"""


def tiny(folder: Path, vocabulary: int = 262_144) -> None:
    """A random Gemma 3 of 4 layers x 256 and so many words, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", "<bos>", "<unk>", *rude(), *(f"w{number}" for number in range(vocabulary))][:vocabulary]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    named = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)
    torch.manual_seed(0)
    model = Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=len(words), hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=1, head_dim=64, max_position_embeddings=1024,
        )
    )  # fmt: skip
    # As sure of itself as a trained model, whose nucleus is a small part of the vocabulary.
    model.model.norm.weight.data += SURE
    model.bfloat16().save_pretrained(folder)


def rude() -> list[str]:
    return [*"you are an idiot stupid moron shut up and thank our kind teacher for a lovely day".split()]


def texts(folder: Path, count: int) -> None:
    """Texts of both sides, and prompts: words of the tiny model, which are tokens of any other too."""
    words = rude()
    for side, own in (("toxic", words[:8]), ("nontoxic", words[8:])):
        rows = [" ".join(own[(at * place + at + place) % len(own)] for place in range(40)) for at in range(count)]
        (folder / f"{side}.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
        prompts = [{"text": " ".join(row.split()[:6]), "lang": "en"} for row in rows]
        (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))


def measured(python: str, stage: str, model: str, folder: Path, prompts: int) -> tuple[float, float]:
    """Peak in GiB, and seconds of processor time."""
    code = START + CODE[stage] + END
    done = subprocess.run([python, "-c", code, model, str(folder), str(prompts)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{stage}: {done.stderr[-2000:]}")
    peak, seconds = json.loads(done.stdout.splitlines()[-1])
    return peak, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", help="a model's folder; by default a tiny random one is made")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--texts", type=int, default=TEXTS, help="of each side, to fit on")
    parser.add_argument("--python", default=sys.executable, help="of another version's environment")
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    given = parser.parse_args()
    print("| stage | peak, GiB | processor, s |\n| --- | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts(folder, max(given.texts, given.prompts))
        if given.pretrained is None:
            tiny(folder / "model")
        for stage in given.stages:
            peak, seconds = measured(
                given.python, stage, given.pretrained or str(folder / "model"), folder, given.prompts
            )
            print(f"| {stage} | {peak:.2f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
