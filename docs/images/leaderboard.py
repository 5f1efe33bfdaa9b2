"""Takes the README's picture of a built leaderboard: python docs/images/leaderboard.py SITE [OUT.png]"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, TALLEST = 1240, 1500


def main() -> None:
    site = Path(sys.argv[1]).resolve()
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_suffix(".png")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto((site / "index.html").as_uri())
        page.locator("body[data-ready=true]").wait_for(state="attached")
        table = page.locator("#scroll").bounding_box()
        assert table is not None
        bottom = min(table["y"] + table["height"] + 8, TALLEST)
        page.screenshot(path=out, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": bottom})
        browser.close()


if __name__ == "__main__":
    main()
