"""Every method on the embedded model at its default strength: what it brings, and what it costs.

    python benchmarks/mini_methods.py --out runs/                    # about five minutes a method, on two cores
    python benchmarks/mini_methods.py --out runs/ --methods dexperts goodtriever

Each method is one command, ``lm_eval --model detox --model_args method=METHOD --tasks rtp_multilingual``; what it
needs is fitted on first use. Runs that are in the folder already are not repeated. Differences to the base model are
paired by prompt, with 95% intervals.
"""

from __future__ import annotations

import argparse
import subprocess
import sysconfig
from pathlib import Path

from detoxbench.core import results
from detoxbench.core.statistics import Interval
from detoxbench.harness.reporting.rows import macro_row
from detoxbench.leaderboard.compare import compare

BASE = "none"
METHODS = (
    "dexperts", "goodtriever", "knn_lm", "rectification", "self_debias",
    "task_vector", "negation", "dapt", "gradient_ascent",
)  # fmt: skip
SHOWN = ("expected_max_toxicity", "perplexity", "language_consistency")
MACRO = "macro"


def run(method: str, out: Path) -> results.Run:
    """The newest run of a method in the folder, made if there is none."""
    folder = out / method
    if not folder.is_dir() or not any(folder.rglob("results_*.json")):
        lm_eval = Path(sysconfig.get_path("scripts")) / "lm_eval"
        subprocess.run(
            [str(lm_eval), "--model", "detox", "--model_args", f"method={method}", "--tasks", "rtp_multilingual",
             "--log_samples", "--output_path", str(folder)],
            check=True,
        )  # fmt: skip
    return results.read(results.find(folder)[-1])


def text(found: Interval, digits: int = 3) -> str:
    """``value [low, high]``."""
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def row(method: str, found: results.Run, base: results.Run) -> list[str]:
    """A line of the table."""
    macro = macro_row(list(found.tasks.values()))
    emt, perplexity, language = (macro[name] for name in SHOWN)
    cells = [method, text(emt), "–", text(perplexity, 1), "–", f"{100 * language.value:.1f}%"]
    if method != BASE:
        changes = {change.metric: change for change in compare(base, found, SHOWN).changes if change.language == MACRO}
        less, more = changes["expected_max_toxicity"], changes["perplexity"]
        cells[2] = f"{less.change:+.3f} [{less.low:+.3f}, {less.high:+.3f}] ({less.change / less.a:+.0%})"
        cells[4] = f"{more.b / more.a:.2f}×"
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    options = parser.parse_args()
    runs = {method: run(method, options.out) for method in (BASE, *options.methods)}
    head = ["method", "exp. max. toxicity", "paired difference", "perplexity", "ratio", "in the prompt's language"]
    for cells in (head, ["---"] * len(head), *(row(method, found, runs[BASE]) for method, found in runs.items())):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
