"""What long work says of itself, by a clock of our own."""

from __future__ import annotations

import pytest

from detoxbench.core.progress import EVERY, Line, Stages


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_line_a_minute(clock, capsys):
    line = Line("reading", 4, "text", lambda: "so fast", clock=clock)
    for _ in range(4):
        clock.now += EVERY / 2
        line.advance(1)
    line.close(well=True)
    said = capsys.readouterr().err.splitlines()
    assert [one.split("|")[0] for one in said] == ["reading:  50%", "reading: 100%", "reading: 100%"]
    assert " 2/4 [01:00<01:00" in said[0]
    assert "so fast" in said[0]


def test_stages_of_several_tasks(clock, capsys):
    with Stages("measuring", {"scored": 30, "fluency": 20}, {"en": 1, "de": 2}, clock=clock) as progress:
        progress.begin()
        clock.now += 2
        progress.advance("scored", 10)
        clock.now += 100  # something else, that is no stage's
        progress.begin()
        clock.now += 5
        progress.advance("fluency", 10)
        assert progress.rates() == "0/2 languages, scored: 10 at 5.0/s, fluency: 10 at 2.0/s"
        progress.finish({"en": 1})
        progress.finish({"de": 1})
        assert progress.rates().startswith("1/2 languages")
        progress.begin()
        progress.advance("scored", 20)
        progress.begin()
        progress.advance("fluency", 10)
        progress.finish({"de": 1})
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("measuring:   0%")
    assert said[-1].startswith("measuring: 100%|")
    assert " 50/50 " in said[-1]
    assert "2/2 languages, scored: 30 at 15.0/s" in said[-1]


def test_an_error_ends_without_a_last_line(clock, capsys):
    with pytest.raises(RuntimeError), Stages("measuring", {"scored": 1}, clock=clock):
        raise RuntimeError
    assert len(capsys.readouterr().err.splitlines()) == 1
    Stages("measuring", {"scored": 1}, silent=True, clock=clock).close(well=True)
    assert capsys.readouterr().err == ""


def test_it_ends_once(clock, capsys):
    progress = Stages("measuring", {}, clock=clock)
    progress.close(well=True)
    progress.close(well=True)
    assert len(capsys.readouterr().err.splitlines()) == 1
