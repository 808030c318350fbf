"""Findings of many checks, joined: none hides another, and the first to mend stands first."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from audio_diffusion_pytorch.diagnostics import Diagnosis, Examined, Finding, Part, examine_parts
from audio_diffusion_pytorch.diagnostics.gathering import attempt


def found(check, verdict="ok", **figures):
    remedy = "" if verdict == "ok" else f"mend {check}"
    return Finding(check, verdict, f"{check} is 3, right is 3", remedy, figures)


def part(group, *findings, **more):
    return Part(group, lambda: findings, **more)


def failing():
    raise RuntimeError("two\nlines")


class TestExamining:
    def test_groups_come_in_the_order_of_cause_and_effect(self):
        parts = [part("sampling", found("c")), part("losses", found("b")), part("data", found("a"))]
        diagnosis = examine_parts(parts)
        assert [finding.check for finding in diagnosis.findings] == ["a", "b", "c"]
        assert [one.group for one in diagnosis.examined] == ["data", "losses", "sampling"]

    def test_a_failing_check_hides_no_other_and_is_named(self):
        parts = [
            part("data", found("a")),
            Part("losses", failing),
            Part("losses", failing, name="previous run"),
            part("losses", found("b", "wrong")),
        ]
        diagnosis = examine_parts(parts)
        assert [finding.check for finding in diagnosis.findings] == ["a", "b"]
        assert diagnosis.worst == "wrong"
        assert diagnosis.notes == [
            "loss against the possible: could not be examined (RuntimeError: two lines)",
            "previous run: could not be examined (RuntimeError: two lines)",
        ]

    def test_a_failing_check_hides_none_of_its_group(self):
        def check_true_level(shift):
            return found("level", "wrong", shift=shift)

        def check_broken(word, *, number):
            raise ValueError(f"{word} {number}")

        def group():
            return [
                *attempt(check_broken, "one", number=1),
                *attempt(check_true_level, 2.0),
                *attempt(lambda: None),
                *attempt(lambda: [found("a"), found("b")]),
                *attempt(check_broken, "two", number=2),
            ]

        diagnosis = examine_parts([Part("data", group, nothing="nothing at all")])
        assert [finding.check for finding in diagnosis.findings] == ["level", "a", "b"]
        assert diagnosis.notes == [
            "broken: could not be examined (ValueError: one 1)",
            "broken: could not be examined (ValueError: two 2)",
        ]
        with pytest.raises(ValueError, match="one 1"):  # alone it says what it has to say
            group()

    def test_what_finds_nothing_says_why(self):
        diagnosis = examine_parts([Part("conditioning", list, nothing="there is no condition")])
        assert diagnosis.notes == ["there is no condition"]

    def test_what_a_user_stops_stays_stopped(self):
        def stopped():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            examine_parts([Part("data", stopped)])

    def test_parts_of_a_group_are_joined_and_timed(self):
        slow = Part("data", lambda: (time.sleep(0.02), [found("a")])[1])
        diagnosis = examine_parts([slow, part("data", found("b"))], [("data", "no labels")])
        (one,) = diagnosis.examined
        assert len(one.findings) == 2 and one.notes == ("no labels",)
        assert 0.02 <= one.seconds < 1

    def test_a_group_left_out_is_told(self):
        diagnosis = examine_parts([], [("conditioning", "there is no condition")])
        assert diagnosis.notes == ["there is no condition"] and diagnosis.worst == "ok"
        assert "Conditioning (0.0 s)\nnote        there is no condition" in diagnosis.text()

    def test_progress_names_what_is_done_and_the_time_left(self, capsys):
        parts = [part("data", found("a"), seconds=3.0), part("losses", found("b"), seconds=1.0)]
        examine_parts(parts, show_progress=True)
        shown = capsys.readouterr().err
        assert "Data" in shown and "Loss against the possible" in shown and "left" in shown
        assert " 75 %" in shown
        examine_parts(parts)
        assert capsys.readouterr() == ("", "")


@pytest.fixture
def diagnosis():
    return examine_parts(
        [
            part("data", found("level"), found("duplicates", "suspicious")),
            part("schedule", found("terminal SNR", "wrong", decibels=6.0, words="x")),
            part("sampling", found("silence", "wrong", level=-math.inf, exact=np.float32(0.5))),
        ],
        [("losses", "there is nothing held back")],
        about="the run",
    )


class TestWhatIsSaid:
    def test_the_earliest_of_the_worst_is_mended_first(self, diagnosis):
        assert diagnosis.first().check == "terminal SNR"
        assert [finding.check for finding in diagnosis.faults] == [
            "terminal SNR", "silence", "duplicates",
        ]  # fmt: skip
        sentence = (
            "4 checks: 2 wrong and 1 suspicious, first of all terminal SNR; "
            "1 group left out: losses"
        )
        assert diagnosis.sentence() == sentence and diagnosis.text().endswith(sentence)

    def test_causes_stand_before_their_consequences(self):
        def consequence(check, verdict):
            return replace(found(check, verdict), symptom=True)

        losses = [consequence("trivial loss", "wrong"), consequence("comparison", "suspicious")]
        causes = [found("gain", "suspicious"), found("output range", "wrong")]
        diagnosis = examine_parts([part("losses", *losses), part("learning", *causes)])
        assert diagnosis.sentence().endswith("first of all output range")
        assert [finding.check for finding in diagnosis.faults] == [
            "output range", "trivial loss", "gain", "comparison",
        ]  # fmt: skip
        to_mend = diagnosis.report().sections[0].remarks
        assert to_mend[0].row.name == "output range"
        plain = diagnosis.to_dict()["groups"]
        assert plain["losses"]["findings"][0]["symptom"] is True
        assert plain["learning"]["findings"][0]["symptom"] is False

    def test_the_text_has_every_group_and_line(self, diagnosis):
        lines = diagnosis.text().splitlines()
        heads = [line.partition(" (")[0] for line in lines if line.endswith(" s)")]
        assert heads == ["Data", "Noise schedule", "Loss against the possible", "Sampling"]
        first = lines.index("suspicious  duplicates: duplicates is 3, right is 3")
        assert lines[first + 1] == "            -> mend duplicates"
        assert lines[first + 2].startswith("ok          level: ")

    def test_a_finding_is_found_by_the_name_of_its_check(self, diagnosis):
        assert diagnosis.finding("silence").verdict == "wrong"
        with pytest.raises(KeyError, match="no check 'DC' was made"):
            diagnosis.finding("DC")

    def test_the_dictionary_is_strict_json(self, diagnosis):
        plain = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
        assert plain["verdict"] == "wrong" and plain["about"] == "the run"
        assert [*plain["groups"]] == ["data", "schedule", "losses", "sampling"]
        figures = plain["groups"]["sampling"]["findings"][0]["figures"]
        assert figures == {"level": "-inf", "exact": 0.5}
        assert plain["groups"]["losses"]["notes"] == ["there is nothing held back"]

    def test_the_report_has_a_section_for_each_group(self, diagnosis):
        report = diagnosis.report("title")
        assert [section.title for section in report.sections] == [
            "To mend", "Data", "Noise schedule", "Loss against the possible", "Sampling",
        ]  # fmt: skip
        to_mend = [remark.row.name for remark in report.sections[0].remarks]
        assert to_mend == ["terminal SNR", "silence", "duplicates"]
        assert report.overall == "fail" and report.badge == "something is wrong"
        assert report.sections[3].note == "there is nothing held back"
        assert dict(report.figures)["wrong"] == "2"

    def test_what_was_left_out_is_said_at_the_end(self):
        found_ok = found("level")
        parts = [part("data", found_ok), Part("losses", failing), Part("sampling", failing)]
        diagnosis = examine_parts(parts, [("data", "no labels")])
        assert diagnosis.sentence() == (
            "1 check: nothing wrong found; 2 groups left out: losses, sampling; "
            "left out in part: data"
        )
        report = diagnosis.report()
        assert report.badge == "nothing wrong found in what could be examined"
        assert f"{diagnosis.sentence()}." in report.paragraphs

    def test_nothing_found_is_said_too(self):
        fine = Diagnosis((Examined("data", (found("level"),)),))
        assert fine.sentence() == "1 check: nothing wrong found" and fine.worst == "ok"
        assert fine.report().overall == "pass"
        assert [section.title for section in fine.report().sections] == ["Data"]
        empty = Diagnosis(())
        assert empty.sentence() == "0 checks: nothing wrong found" and empty.report()


def test_tensors_of_one_number_are_json_too():
    finding = found("a", value=torch.tensor(2.0))
    plain = examine_parts([part("data", finding)]).to_dict()
    assert json.dumps(plain["groups"]["data"]["findings"][0]["figures"]) == '{"value": 2.0}'
