"""Time and memory of building a leaderboard of many runs, and how soon its overview can be used.

    python benchmarks/leaderboard.py [--runs 2000] [--prompts 40]

Made-up runs of seventeen languages are written to a records folder first; what is timed is the command that reads that
folder and builds the site, in a process of its own. The overview is opened in headless Chromium, from a file: it counts
as interactive when a click on a heading has sorted the table, counted from the start of the navigation.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "leaderboard"))

CHILD = """
import resource, sys, time
from pathlib import Path
from detoxbench.leaderboard.site.build import build
from detoxbench.leaderboard.site.sources import gather
start = time.perf_counter()
found = gather([], Path(sys.argv[1]))
read = time.perf_counter()
build(found.records, Path(sys.argv[2]))
end = time.perf_counter()
print(len(found.records), read - start, end - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def write_records(folder: Path, runs: int, prompts: int) -> None:
    import made_up

    from detoxbench.leaderboard.submissions import append

    models = max(1, runs // (len(made_up.METHODS) * 5))
    for number in range(runs):
        method = made_up.METHODS[number % len(made_up.METHODS)]
        place = made_up.METHODS.index(method)
        made = made_up.record(
            f"someone/model-{number // len(made_up.METHODS) % models}", method, shift=-0.04 * place,
            cost=1 + 0.05 * place, languages=made_up.SEVENTEEN, prompts=prompts, seed=number, intervals=False,
        )  # fmt: skip
        append(folder, [made])


def browse(site: Path) -> dict[str, float]:
    """Milliseconds from the start of the navigation, medians of five visits in fresh profiles."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {"painted": [], "filled": [], "interactive": [], "sort": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(5):
            page = browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
            page.goto((site / "index.html").as_uri(), wait_until="commit")
            page.locator("body[data-ready=true]").wait_for(state="attached")
            filled = page.evaluate("performance.now()")
            before = time.perf_counter()
            page.locator("thead button").first.click()
            page.locator("th[aria-sort=descending]").wait_for()
            found["sort"].append(1000 * (time.perf_counter() - before))
            found["interactive"].append(page.evaluate("performance.now()"))
            found["filled"].append(filled)
            found["painted"].append(
                page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
            )
            page.context.close()
        browser.close()
    return {name: sorted(times)[len(times) // 2] for name, times in found.items()}


def sizes(site: Path) -> dict[str, float]:
    """MB after gzip: what the overview loads, and the whole site without samples and downloads."""

    def packed(paths) -> float:
        return sum(len(gzip.compress(path.read_bytes(), 6)) for path in paths) / 1e6

    first = ["index.html", "static/site.css", "static/theme.js", "static/core.js", "static/view.js", "static/table.js",
             "static/downloads.js", "static/overview.js", "static/vendored/table-core.min.js",
             "data/index.js"]  # fmt: skip
    boards = sorted(site.glob("data/b-*.js"))
    frame = [path for path in site.rglob("*") if path.is_file() and path.parent.name not in ("data", "downloads")]
    data = [path for path in site.glob("data/*.js") if not path.name.startswith("s-")]
    return {
        "overview": packed([site / name for name in first] + boards[:1]),
        "pages": packed(frame),
        "everything": packed(frame + data),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--prompts", type=int, default=40, help="per language")
    parser.add_argument("--site", type=Path, help="keep the site here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        records, site = Path(folder) / "records", options.site or Path(folder) / "site"
        write_records(records, options.runs, options.prompts)
        child = [sys.executable, "-c", CHILD, str(records), str(site)]
        words = subprocess.run(child, check=True, capture_output=True, text=True).stdout.split()
        runs, read, whole, memory = (float(word) for word in words)
        result = {"runs": runs, "read_s": read, "build_s": whole, "peak_MiB": memory, "gzip_MB": sizes(site)}
        if shutil.which("chromium"):
            result["ms"] = browse(site)
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
