"""How a run shows itself in a terminal."""

from __future__ import annotations

import io
import math
import os
from dataclasses import replace

import pytest

from studio.progress import Progress, duration, numbers, rate
from tests.studio.samples import FINISHED, STATUS


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((100, 24)))
    stream = Terminal()
    progress = Progress(stream)
    progress.show(STATUS)
    progress.show(STATUS)  # nothing new, nothing written
    progress.say("step 30: something")
    progress.show(FINISHED)
    progress.close()
    bar, rest = stream.getvalue().split("step 30: something\n")
    drawn = "█" * 8 + "░" * 12 + "  40 %  step 40/100  512 steps/s  1:05 left  loss 4.00e+00  error 3.40e-02"
    assert bar.count(drawn) == 1
    assert bar.endswith("\r")
    assert rest.startswith("\r" + "█" * 20 + " 100 %") and rest.endswith("\n")
    assert all(len(line.strip("\r")) < 100 for line in stream.getvalue().replace("\r", "\n").splitlines())


def test_a_narrow_terminal_or_one_without_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (5, 20, 40, 60):
        monkeypatch.setattr("shutil.get_terminal_size", lambda columns=columns: os.terminal_size((columns, 24)))
        stream = Terminal()
        stream.encoding = "ascii"  # type: ignore[assignment]
        Progress(stream).show(STATUS)
        assert len(stream.getvalue().strip("\r")) < columns
        assert stream.getvalue().isascii()


def test_elsewhere_a_line_now_and_then() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = Progress(stream, interval=10, clock=lambda: now[0])
    for tenth in range(300):
        now[0] = tenth / 10
        progress.show(replace(STATUS, step=tenth))
    progress.show(FINISHED)
    progress.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "\r" not in stream.getvalue()
    assert lines[-1].startswith("100 %  step 100/100")


def test_several_fields_are_named() -> None:
    stream = io.StringIO()
    Progress(stream).show(replace(STATUS, relative_l2={"u": 0.1, "v": 0.02}))
    assert "error u 1.00e-01 v 2.00e-02" in stream.getvalue()


def test_the_phase_s_time_is_told_where_that_of_the_run_is_not_known() -> None:
    for left, of_phase, said in (
            (None, 65.2, "1:05 left of this phase"), (99.0, 65.2, "1:39 left  "), (None, None, "")):
        stream = io.StringIO()
        Progress(stream).show(replace(STATUS, phases=2, seconds_left=left, phase_seconds_left=of_phase))
        assert said in stream.getvalue() and ("left" in stream.getvalue()) == bool(said)


def test_numbers_in_words() -> None:
    assert [duration(s) for s in (0.4, 7, 750, 3723.4, -1)] == ["0:00", "0:07", "12:30", "1:02:03", "0:00"]
    assert [rate(r) for r in (1234.5, 10, 4.34)] == ["1,234 steps/s", "10 steps/s", "4.3 steps/s"]
    assert numbers({"a": 0.012345, "b": math.nan}) == "a 1.23e-02, b nan"
