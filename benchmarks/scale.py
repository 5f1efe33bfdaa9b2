"""Time and memory of a run against prompts, samples, keys of a datastore, languages, and words of the vocabulary.

    python benchmarks/scale.py --out scale.json                       # all points; run again, what is missing
    python benchmarks/scale.py --out scale.json --only keys           # one axis, to measure in pieces
    python benchmarks/scale.py --out scale.json --plot docs/images/scale

Every point is a run of lm-eval in a process of its own: the processor seconds of its call (generation, scoring,
fluency, intervals, files; of all its threads, so that they hold on a machine that others share), without imports, and
the process's highest memory. The slope is a straight line's by least squares; the intercept is what a run costs before
its first prompt. Runs are on ``mini``; keys are random and searched exactly, half in each datastore; of vocabularies
the model is a random one of 4 layers x 256, which is its own fluency model.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from memory import tiny
from rich.console import Console
from rich.table import Table

from detoxbench.core.files import write_text

AXES: dict[str, tuple[int, ...]] = {
    "prompts": (25, 50, 100, 200),
    "samples": (5, 10, 25, 50),
    "keys": (20_000, 60_000, 200_000, 600_000),
    "languages": (1, 5, 10, 17),
    "vocabulary": (32_768, 65_536, 131_072, 262_144),
}
LANGS = tuple("en ar es fr hi it ja ko pt ru zh cs de id nl pl sv".split())
DIM, VOCAB = 192, 10_000
AFTER = {"prompts": "prompts x 25 samples", "samples": "samples of 40 prompts", "keys": "keys, 10 prompts x 25 samples",
         "languages": "languages of 20 prompts x 10 samples",
         "vocabulary": "tokens known, 10 prompts x 25 samples"}  # fmt: skip


def measure(axis: str, value: int, out: str) -> None:
    """One point, in this process."""
    from detoxbench.harness.continual.evaluate import evaluate

    tasks, samples, limit = ["rtp_multilingual_en"], 25, 10
    model_args: dict[str, Any] = {"pretrained": "mini", "device": "cpu"}
    metadata: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if axis == "prompts":
            metadata["prompts"], limit = _many(Path(folder) / "prompts.jsonl", value), value
        elif axis == "samples":
            samples, limit = value, 40
        elif axis == "languages":
            tasks, samples, limit = [f"rtp_multilingual_{lang}" for lang in LANGS[:value]], 10, 20
        elif axis == "vocabulary":
            model = Path(folder) / "model"
            tiny(model, value)
            model_args["pretrained"] = str(model)
            metadata |= {"fluency_model": str(model), "scorer": "ngram"}
        else:
            model_args |= {"method": "goodtriever", **_stores(Path(folder), value)}
        start = time.process_time()
        run = evaluate(
            Path(folder) / "run", {}, model_args, tasks, metadata={**metadata, "samples": samples}, limit=limit
        )
        seconds = time.process_time() - start
        size = sum(path.stat().st_size for path in (Path(folder) / "run").rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    generation = run.model.seconds if run.model and run.model.seconds else 0.0
    Path(out).write_text(json.dumps({"seconds": seconds, "peak": peak, "generation": generation, "disk": size}))


def _many(path: Path, count: int) -> str:
    """So many different prompts: the embedded ones, with a number in front from the second time on."""
    from detoxbench.core.mini import PROMPTS

    rows = [json.loads(line) for line in (PROMPTS / "en.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [row["text"] if "text" in row else row["prompt"]["text"] for row in rows]
    with path.open("w", encoding="utf-8") as file:
        for at in range(count):
            text, again = texts[at % len(texts)], at // len(texts)
            text = f"{again}. {text}" if again else text
            file.write(json.dumps({"id": str(at), "text": text, "lang": "en"}) + "\n")
    return str(path)


def _stores(folder: Path, keys: int) -> dict[str, Any]:
    from transformers import AutoModelForCausalLM

    from detoxbench.core.mini import MODEL
    from detoxbench.methods.retrieval.datastore import Datastore

    model, rng = AutoModelForCausalLM.from_pretrained(MODEL), np.random.default_rng(0)
    found: dict[str, Any] = {"exact": True}
    for side in ("toxic", "nontoxic"):
        array = rng.standard_normal((keys // 2, DIM), dtype=np.float32).astype(np.float16)
        values = rng.integers(0, VOCAB, keys // 2, dtype=np.int32)
        Datastore.from_arrays(folder / side, array, values, model=model, exact=True)
        found[f"{side}_datastore"] = str(folder / side)
    return found


def slope(points: dict[str, dict[str, float]], name: str) -> tuple[float, float]:
    """Intercept and slope of a straight line through an axis' points."""
    x = np.array([float(value) for value in points])
    y = np.array([point[name] for point in points.values()])
    rise, start = np.polyfit(x, y, 1)
    return float(start), float(rise)


def show(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """A row a point, and the lines through them."""
    table = Table("axis", "value", "processor, s", "generation, s", "peak MiB", "files KiB")
    for axis, points in found.items():
        for value, point in points.items():
            table.add_row(
                axis, f"{int(value):,}", f"{point['seconds']:.1f}", f"{point['generation']:.1f}",
                f"{point['peak'] / 2**20:,.0f}", f"{point['disk'] / 2**10:,.0f}",
            )  # fmt: skip
        table.add_section()
    console = Console()
    Console(width=None if console.is_terminal else 140).print(table)
    for axis, points in found.items():
        if len(points) > 1:
            start, rise = slope(points, "seconds")
            memory, more = slope(points, "peak")
            print(f"{AFTER[axis]}: {start:.1f} s + {rise * 1000:.4g} ms each; "
                  f"{memory / 2**20:,.0f} MiB + {more / 2**10:.4g} KiB each")  # fmt: skip


def draw(found: dict[str, dict[str, dict[str, float]]], name: str) -> None:
    """``NAME.svg`` and ``NAME.png``."""
    from detoxbench.harness.continual.plot import FONT, VERSION, converter

    panels = []
    for axis, points in found.items():
        rows = [{"x": int(value), "s": point["seconds"], "m": point["peak"] / 2**30} for value, point in points.items()]
        lines = {key: slope(points, column) for key, column in (("s", "seconds"), ("m", "peak"))}
        lines["m"] = (lines["m"][0] / 2**30, lines["m"][1] / 2**30)
        ends = [0, max(int(value) for value in points)]
        column = []
        for key, title in (("s", "processor, s"), ("m", "memory, GiB")):
            start, rise = lines[key]
            trend = [{"x": x, "y": start + rise * x} for x in ends]
            scale = {"domainMin": 0}
            x = {"type": "quantitative", "title": AFTER[axis] if key == "m" else None, "axis": {"tickCount": 4}}
            column.append({
                "width": 220, "height": 140,
                "layer": [
                    {"data": {"values": trend}, "mark": {"type": "line", "color": "#9aa4b0", "strokeDash": [4, 3]},
                     "encoding": {"x": {"field": "x", **x},
                                  "y": {"field": "y", "type": "quantitative", "title": title, "scale": scale}}},
                    {"data": {"values": rows}, "mark": {"type": "point", "filled": True, "color": "#0b62a4"},
                     "encoding": {"x": {"field": "x", **x}, "y": {"field": key, "type": "quantitative"}}},
                ],
            })  # fmt: skip
        panels.append({"vconcat": column, "spacing": 8})
    chart = {
        "background": "white", "padding": 16, "hconcat": panels, "spacing": 20,
        "title": {"text": "One run: time and highest memory", "anchor": "start", "fontSize": 15, "offset": 12,
                  "subtitle": "points measured, one process each; dashed: the straight line through them",
                  "subtitleColor": "#55606d"},
        "config": {"font": FONT, "view": {"stroke": None}, "axis": {"gridColor": "#eceff2"}},
    }  # fmt: skip
    Path(f"{name}.svg").write_text(converter().vegalite_to_svg(chart, vl_version=VERSION))
    Path(f"{name}.png").write_bytes(converter().vegalite_to_png(chart, vl_version=VERSION, scale=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON of the points")
    parser.add_argument("--only", choices=AXES, action="append", help="an axis; repeatable; none measured with --plot")
    parser.add_argument("--plot", help="draw NAME.svg and NAME.png of what was measured")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    found = json.loads(options.out.read_text()) if options.out.is_file() else {}
    for axis in [] if options.plot else options.only or AXES:
        for value in AXES[axis]:
            if str(value) in found.get(axis, {}):
                continue
            with tempfile.TemporaryDirectory() as folder:
                child = multiprocessing.get_context("spawn").Process(
                    target=measure, args=(axis, value, f"{folder}/point.json")
                )
                child.start()
                child.join()
                if child.exitcode:
                    raise SystemExit(f"{axis} {value:,}: the process ended with {child.exitcode}")
                found.setdefault(axis, {})[str(value)] = json.loads(Path(f"{folder}/point.json").read_text())
            write_text(options.out, [json.dumps(found, indent=1)])
    show(found)
    if options.plot:
        draw(found, options.plot)


if __name__ == "__main__":
    main()
