"""Progress: a bar on a terminal, few lines elsewhere, nothing in the other processes."""

from __future__ import annotations

import io
import sys

import pytest

from audio_diffusion_pytorch.training import progress as progress_module
from audio_diffusion_pytorch.training.progress import Progress, words_for


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def show(progress: Progress, steps: int = 50) -> None:
    for step in range(1, steps + 1):
        progress.update(step, 200, 0.25, 90.0)
    progress.note("a note")
    progress.close()


def test_a_terminal_gets_a_bar_with_loss_and_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    show(Progress(0))
    assert "/200" in terminal.getvalue()
    assert "loss 0.2500, 1 min 30 s left" in terminal.getvalue()


@pytest.mark.parametrize(("seconds", "lines"), [(1000.0, 0), (0.0, 50)])
def test_a_file_gets_a_line_now_and_then(monkeypatch, capsys, seconds, lines):
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", seconds)
    show(Progress(0))
    out = capsys.readouterr().out.splitlines()
    assert len(out) == lines + 1 and out[-1] == "a note"
    if lines:
        assert out[-2] == "step 50/200: loss 0.2500, 1 min 30 s left"


def test_other_processes_are_silent(capsys):
    show(Progress(0, enabled=False))
    assert capsys.readouterr() == ("", "")


def test_durations_in_words():
    assert [words_for(seconds) for seconds in (0.2, 59.4, 61, 7260)] == [
        "0 s", "59 s", "1 min 01 s", "2 h 01 min",
    ]  # fmt: skip
