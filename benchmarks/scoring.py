"""How much of a quota is used, how fast classifiers run, and how fast archived scores are found.

    python benchmarks/scoring.py                          # all three, a few minutes
    python benchmarks/scoring.py quota --qps 1 10 100 1000 --seconds 20
    python benchmarks/scoring.py hf --model textdetox/xlmr-large-toxicity-classifier-v2 --texts 2000
    python benchmarks/scoring.py archive --lookups 1000000

``quota`` runs the Perspective scorer against the tests' server, in a process of its own, and counts there: queries over
the time from the first to the last, against the quota, leaving out the burst of the first second; and the most in any
one second. ``hf`` scores texts of the lengths of continuations in batches by length, and one text at a time as a plain
loop over the model does. ``archive`` looks up shuffled texts by hash, and scores them through an archive.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent / "tests" / "core" / "scorers"


def quota(qps: int, seconds: float, latency: float) -> None:
    import requests

    from detoxbench.core.scorers.perspective import PerspectiveScorer

    command = [sys.executable, str(TESTS / "fake_perspective.py"), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            scorer = PerspectiveScorer(qps=qps, endpoint=url)
            scores = scorer.score([f"text {number}" for number in range(int(qps * (seconds + 1)))], "en")
            found = requests.get(f"{url}stats").json()
        finally:
            server.terminate()
    first = found["arrivals"][0][0]
    later = [(at - first, queries) for at, queries in found["arrivals"] if at - first >= 1]
    # The last query ends a stretch that it does not count in.
    use = sum(queries for _, queries in later[:-1]) / (qps * (later[-1][0] - later[0][0]))
    failed = sum(reason is not None for reason in scores.reasons)
    print(f"{qps:>6} QPS: {use:.1%} of the quota used, at most {found['busiest']} in any second, {failed} failed")


def continuations(texts: int) -> list[str]:
    """Texts of 5 to 40 words, as of 20 to 60 tokens."""
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(60)]
    return [" ".join(rng.choice(words, rng.integers(5, 41))) for _ in range(texts)]


def small_model(folder: str) -> str:
    """A random BERT of 4 layers and 256 dimensions."""
    sys.path.insert(0, str(TESTS))
    import tiny
    import transformers

    names = {"id2label": {0: "ok", 1: "toxic"}, "label2id": {"ok": 0, "toxic": 1}}
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
        max_position_embeddings=128, pad_token_id=1, **names,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tiny.tokenizer("bert", 128).save_pretrained(folder)
    return folder


def classifier(model: str | None, texts: int) -> None:
    from detoxbench.core import scorers

    with tempfile.TemporaryDirectory() as folder:
        scorer = scorers.load(f"hf:{model or small_model(folder)}")
        scorer.score(continuations(8), "en")
        wanted, seconds = continuations(texts), {}
        for name, work in (
            ("in batches by length", lambda: scorer.score(wanted, "en")),
            ("one at a time", lambda: [scorer.score([text], "en") for text in wanted]),
        ):
            start = time.perf_counter()
            work()
            seconds[name] = time.perf_counter() - start
        for name, taken in seconds.items():
            print(f"hf {model or 'BERT 4x256'}, {name}: {texts / taken:,.0f} texts/s")
        one, many = seconds["one at a time"], seconds["in batches by length"]
        print(f"hf: {one / many:.1f} times as fast")


def archive(lookups: int, stored: int) -> None:
    from detoxbench.core.scorers.archive import Key, Row, ScoreArchive, text_sha256
    from detoxbench.core.scorers.archived import Archived
    from detoxbench.core.scorers.perspective import PerspectiveScorer

    scorer = PerspectiveScorer()
    key = Key(scorer.name, scorer.version, scorer.attributes, "en")
    with tempfile.TemporaryDirectory() as folder, ScoreArchive(Path(folder) / "scores.sqlite") as store:
        texts = [
            f"the text of number {number}, as long as a continuation of twenty tokens is" for number in range(stored)
        ]
        start = time.perf_counter()
        for place in range(0, stored, 10_000):
            part = texts[place : place + 10_000]
            store.put(key, [Row(text_sha256(text), [0.5] * 8, None, text) for text in part])
        print(f"archive: {stored / (time.perf_counter() - start):,.0f} scores/s stored")
        wanted = [texts[place] for place in np.random.default_rng(0).integers(0, stored, lookups)]
        hashes = [text_sha256(text) for text in wanted]
        start = time.perf_counter()
        found = store.get(key, hashes)
        taken = time.perf_counter() - start
        print(
            f"archive: {len(set(hashes)) / taken:,.0f} distinct look-ups/s by hash, {len(found):,} of {stored:,} found"
        )
        start = time.perf_counter()
        scores = Archived(scorer, store).score(wanted, "en")
        taken = time.perf_counter() - start
        assert not any(scores.reasons)
        print(f"archive: {lookups / taken:,.0f} texts/s through a scorer, hashing and gathering included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["quota", "hf", "archive", []], help="all if none is named")
    parser.add_argument("--qps", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--latency", type=float, default=0.05, help="of the server, in seconds")
    parser.add_argument("--model", help="a model or folder; a small random one if none is named")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--lookups", type=int, default=200_000)
    parser.add_argument("--stored", type=int, default=200_000)
    arguments = parser.parse_args()
    os.environ.setdefault("PERSPECTIVE_API_KEY", "not-a-key")
    what = arguments.what or ["quota", "hf", "archive"]
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    if "quota" in what:
        for qps in arguments.qps:
            quota(qps, arguments.seconds, arguments.latency)
    if "hf" in what:
        classifier(arguments.model, arguments.texts)
    if "archive" in what:
        archive(arguments.lookups, arguments.stored)


if __name__ == "__main__":
    main()
