"""What a run says of its progress, by a clock of our own."""

from __future__ import annotations

import pytest

from detoxbench.core.progress import EVERY
from detoxbench.harness.progress import Progress
from detoxbench.harness.sweep.engines import last_bar


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_languages_samples_and_time_left(clock, capsys):
    progress = Progress([["en"], ["en"], ["de"], ["de", "fr"]], [25] * 4, clock=clock)
    with progress:
        clock.now = 10.0
        progress.batch([0, 2], 1000)
        assert progress.rates() == "0/3 languages, 5.0 samples/s, 100 tokens/s"
        progress.batch([1], 500)
        assert progress.rates() == "1/3 languages, 7.5 samples/s, 150 tokens/s"
        assert " 3/4 [00:10<00:03" in progress.line()
        progress.batch([3], 500)
        assert progress.rates().startswith("3/3 languages")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("|")[0] for line in lines] == ["generation:   0%", "generation: 100%"]


def test_a_line_a_minute_where_there_is_no_terminal(clock, capsys):
    with Progress([["en"]] * 6, [1] * 6, clock=clock) as progress:
        for place in range(5):
            clock.now += EVERY / 2
            progress.batch([place], 10)
        lines = capsys.readouterr().err.splitlines()
        assert [line.split("|")[0].split()[-1] for line in lines] == ["0%", "33%", "67%"]
        assert last_bar("\n".join(lines).encode()) == lines[-1]


def test_what_was_reused_counts_as_done_and_not_as_fast(clock, capsys):
    progress = Progress([["en"]] * 4, [10] * 4, [0, 1], clock=clock)
    clock.now = 10.0
    progress.batch([2], 100)
    assert progress.rates() == "1.0 samples/s, 10 tokens/s"
    assert " 3/4 [00:10<00:10" in progress.line()


def test_nothing_to_do_and_nothing_to_say(clock, capsys):
    with Progress([], [], clock=clock) as progress:
        assert progress.rates() == ""
    assert "0" in capsys.readouterr().err
    with Progress([["en"]], [1], silent=True, clock=clock) as silent:
        silent.batch([0], 1)
    assert capsys.readouterr().err == ""


def test_an_error_ends_without_a_last_line(clock, capsys):
    with pytest.raises(RuntimeError), Progress([["en"]], [1], clock=clock):
        raise RuntimeError
    assert len(capsys.readouterr().err.splitlines()) == 1
