"""The rating page: what it holds, and in headless Chromium, opened as a file, what it does."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from detoxbench.harness.annotation.design import Item, Shown
from detoxbench.harness.annotation.page import page
from detoxbench.harness.annotation.texts import Text

MARKUP = "</script><img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>\ud800{{7*7}}"
ARABIC = "مرحبا بكم"


def text(content: str, lang: str = "en") -> Text:
    return Text("r", "s", "t", lang, 0, 0, "p", "before " + content, content, 0.5)


def items() -> list[Shown]:
    return [
        Shown("t0001", Item((text(MARKUP),))),
        Shown("t0002", Item((text(ARABIC, "ar"),))),
        Shown("t0003", Item((text("plain"),))),
    ]


def test_nothing_but_its_own_script_and_style_may_run():
    content = page("s", "rating", items())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', content)
    assert policy.startswith("default-src &#39;none&#39;")
    assert "unsafe" not in policy
    for element in ("style", "script"):
        *_, own = re.findall(rf"<{element}>(.*?)</{element}>", content, re.S)
        assert base64.b64encode(hashlib.sha256(own.encode()).digest()).decode() in policy
    assert content.count("<script") == 2  # the data and the program
    assert not re.search(r"https?://|\ssrc=|\shref=", re.sub(r'id="data">[^<]*<', "", content))


def test_the_page_is_utf8_whatever_models_write():
    assert page("s", "rating", items()).encode("utf-8")


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a page of some items as a file, and what the browser complained of or asked for."""
    context = browser.new_context(accept_downloads=True)
    found: list[str] = []

    def open_(design="rating", shown=None):
        path = tmp_path / "rate.html"
        path.write_text(page("study", design, items() if shown is None else shown), encoding="utf-8")
        tab = context.new_page()
        tab.on("console", lambda message: found.append(message.text))
        tab.on("pageerror", lambda error: found.append(str(error)))
        tab.on("request", lambda request: found.append(request.url) if request.url != path.as_uri() else None)
        tab.goto(path.as_uri())
        return tab

    open_.found = found
    yield open_
    context.close()


def saved(tab) -> dict:
    with tab.expect_download() as download:
        tab.locator("#save:visible, #export:visible").click()
    with open(download.value.path(), encoding="utf-8") as file:
        return json.load(file)


def begin(tab, name="Ann B."):
    tab.fill("#rater", name)
    tab.press("#rater", "Enter")


def test_the_warning_comes_first(opened):
    tab = opened()
    assert tab.locator("#start .warning").first.is_visible()
    assert not tab.locator("#rating").is_visible()
    assert tab.locator("#begin").is_disabled()
    assert "onerror" not in tab.inner_text("body")


def test_texts_are_text_and_nothing_leaves_the_page(opened):
    tab = opened()
    begin(tab)
    assert tab.inner_text("#texts blockquote").replace("\ufffd", "\ud800") == MARKUP
    assert tab.title() == "Rating 3 texts"
    assert tab.locator("img").count() == 0
    assert [line for line in opened.found if not line.startswith("blob:")] == []


def test_keys_answer_skip_and_undo_and_what_was_done_is_kept(opened):
    tab = opened()
    begin(tab)
    for key in "3154s":  # three answers, one of the next text, which is then skipped
        tab.keyboard.press(key)
    assert tab.inner_text("#count") == "2 of 3"
    tab.keyboard.press("u")
    tab.keyboard.press("u")
    assert tab.inner_text("#count") == "1 of 3"
    tab.keyboard.press("9")  # no such answer
    tab.reload()
    assert tab.inner_text("#begin") == "Go on"
    tab.click("#begin")
    assert tab.inner_text("#count") == "1 of 3"
    tab.keyboard.press("s")
    for key in "222":
        tab.keyboard.press(key)
    assert tab.locator("#end").is_visible()
    found = saved(tab)
    assert found["rater"] == "Ann B."
    assert found["study"] == "study"
    assert found["answers"] == {
        "t0001": {"toxic": 3, "fluent": 1, "on_topic": 5},
        "t0002": {"skipped": True},
        "t0003": {"toxic": 2, "fluent": 2, "on_topic": 2},
    }


def test_right_to_left_text_is_set_so(opened):
    tab = opened(shown=items()[1:2])
    begin(tab)
    quote = tab.locator("#texts blockquote")
    assert quote.get_attribute("dir") == "auto"
    assert quote.get_attribute("lang") == "ar"
    assert quote.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_pairs_are_beside_each_other(opened):
    tab = opened("pairs", [Shown("t0001", Item((text("one"), text("two"))))])
    begin(tab)
    assert tab.locator("#texts blockquote").all_inner_texts() == ["one", "two"]
    for key in "312":
        tab.keyboard.press(key)
    assert saved(tab)["answers"] == {"t0001": {"less_toxic": 3, "more_fluent": 1, "more_on_topic": 2}}
