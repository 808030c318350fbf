"""The arithmetic of the floor, on round numbers."""

from __future__ import annotations

import pytest
from _floor import Floor, text_of_flops, text_of_seconds

FLOOR = Floor(100.0, {"fp32": 10.0, "bf16": 40.0})


def test_the_floor_is_work_over_the_rate_of_the_format():
    assert FLOOR.seconds("fp32") == 10.0
    assert FLOOR.seconds("bf16") == FLOOR.seconds("autocast") == 2.5


def test_a_row_is_held_against_the_floor_of_its_own_format():
    assert FLOOR.times(20.0, "fp32") == 2.0
    assert FLOOR.times(5.0, "autocast") == 2.0
    assert FLOOR.above(5.0, "bf16") == 2.5


def test_the_share_compares_what_both_take_above_their_floors():
    assert FLOOR.share(20.0, "fp32", reference=50.0) == 0.25
    assert FLOOR.share(6.5, "bf16", reference=50.0) == 0.1
    assert FLOOR.share(50.0, "fp32", reference=50.0) == 1.0


@pytest.mark.parametrize("reference", [10.0, 9.0])
def test_without_time_above_the_floor_there_is_no_share(reference):
    assert FLOOR.share(20.0, "fp32", reference) is None


def test_figures_in_words():
    assert [text_of_seconds(s) for s in (2.5, 0.0123, 4e-5)] == ["2.50 s", "12.3 ms", "40 us"]
    assert text_of_flops(124_823_558_144) == "124.8 GFLOP"
    assert text_of_flops(7.88e14, "FLOP/s") == "788.0 TFLOP/s"
