"""Turns, rows and verdicts, on sides that answer what they are told to."""

from __future__ import annotations

import pytest
import torch
from _compare import HEAD, brief, compare, explain, in_turns, rows_of, verdicts
from _networks import Network
from _sides import MEMORY, REFERENCE, SAMPLING, TRAINING, SideError, Variant, chosen

NETWORK = Network("a net", {}, [1, 2, 8], {}, {})
EAGER, COMPILED = Variant("eager"), Variant("compiled", compiled=True)
BF16 = Variant("bf16 weights", precision="bf16")


class Told:
    """A side without a process: each variant takes the seconds it is told, or is refused."""

    def __init__(self, seconds, refuse=None):
        self.seconds, self.refuse = seconds, refuse or {}
        self.asked = []
        self.process = type("Running", (), {"poll": lambda self: None})()

    def ask(self, do, view=None, name=None, path=None, of=None, precision=None, **arguments):
        self.asked.append((do, view or name))
        if do in self.refuse and self.refuse[do] in (view or name, "all"):
            raise SideError(f"no {do}")
        if do == "output":
            torch.save(torch.ones(4) * self.seconds[view], path)
        return {
            "seconds": self.seconds.get(view),
            "parameters": 12,
            "flops": 100,
            "rate": {"fp32": 10.0, "bf16": 40.0}.get(precision, 0) / (of == "product" or 2),
        }


def test_turns_go_forwards_and_backwards():
    order = []
    calls = {name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}
    found = in_turns(calls, 3)
    assert "".join(order) == "abccbaabc"
    assert found == {"a": [1.0, 6.0, 7.0], "b": [2.0, 5.0, 8.0], "c": [3.0, 4.0, 9.0]}


def test_both_sides_are_timed_and_set_against_each_other(capsys):
    sides = {"upstream": Told({REFERENCE.name: 50.0}), "ours": Told({"eager": 20.0, BF16.name: 5})}
    variants = [REFERENCE, EAGER, BF16]
    figures = compare(sides, NETWORK, variants, "cpu", 2, "sample", steps=2)
    assert rows_of("a net", figures, variants) == [
        ["a net", "0.1.3 eager", "50.00 s", "1.00", "5.00", "1.00", "-"],
        ["", "eager", "20.00 s", "0.40", "2.00", "0.25", "6.0e-01"],
        ["", "bf16 weights", "5.00 s", "0.10", "2.00", "0.06", "9.0e-01"],
    ]
    assert sides["ours"].asked.count(("sample", "eager")) == 4  # two to warm up
    assert all(len(row) == len(HEAD) for row in rows_of("a net", figures, variants))
    explain("a net", figures)
    said = capsys.readouterr().out
    assert "12 parameters" in said
    assert "products of matrices run at 0.0 MFLOP/s" in said
    lines = verdicts(
        figures, {"time": [("eager or bf16 weights", 0.1)], "above floor": [("eager", 0.2)]}
    )
    assert lines == [
        "time, bf16 weights: 0.10 of 0.1.3, aim 0.1: kept",
        "above floor, eager: 0.25 of 0.1.3, aim 0.2: MISSED",
    ]


def test_what_is_refused_is_a_row_and_the_others_go_on():
    ours = Told({"eager": 20.0}, refuse={"sample": "compiled"})
    variants = [EAGER, COMPILED]
    figures = compare({"ours": ours}, NETWORK, variants, "cpu", 1, "sample")
    assert rows_of("a net", figures, variants) == [
        ["a net", "eager", "20.00 s", "-", "2.00", "-", "-"],
        ["", "compiled", "refused", "-", "-", "-", "no sample"],
    ]
    assert verdicts(figures, {"time": [("eager", 1.0)]}) == []  # nothing to hold it against


def test_a_side_that_cannot_build_the_network_leaves_the_other_alone():
    sides = {
        "upstream": Told({}, refuse={"build": "all"}),
        "ours": Told({"eager": 20.0}),
    }
    variants = [REFERENCE, EAGER]
    figures = compare(sides, NETWORK, variants, "cpu", 1, "sample")
    lines = rows_of("a net", figures, variants)
    assert [line[2] for line in lines] == ["refused", "20.00 s"]
    assert lines[0][-1] == "no build"


def test_a_reason_cannot_break_a_table():
    assert brief("a | b") == "a / b"
    assert len(brief("x" * 100)) == 60


@pytest.mark.parametrize("variants", [SAMPLING, TRAINING, MEMORY])
def test_rows_have_names_of_their_own_that_tell_the_format(variants):
    assert len({variant.name for variant in variants}) == len(variants)
    for variant in variants:
        assert ("bf16" in variant.name) == (variant.precision != "fp32")
        assert ("compiled" in variant.name) == variant.compiled
        assert ("0.1.3" in variant.name) == (variant.side == "upstream")


def test_variants_are_chosen_by_side_and_by_name():
    assert all(variant.side == "ours" for variant in chosen(SAMPLING, ["ours"], None))
    assert chosen(SAMPLING, ["ours", "upstream"], ["eager"]) == [Variant("eager")]
    with pytest.raises(SystemExit, match="no variant 'eagre'"):
        chosen(SAMPLING, ["ours"], ["eagre"])
