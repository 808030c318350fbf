"""Edits of real recordings with a run just trained."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")
RATE = 16000
DONE = {
    "vary": ["--vary", "0.6"],
    "keep": ["--vary", "0"],
    "fill": ["--fill", "0.1:0.15", "--sampler", "dpmpp_2m_sde"],
    "again": ["--fill", "0.1:0.15", "--sampler", "dpmpp_2m_sde", "--num", "1"],
    "other seed": ["--fill", "0.1:0.15", "--sampler", "dpmpp_2m_sde", "--seed", "1"],
    "extend": ["--extend", "0.7", "--visits", "1"],
}
REFUSED = {
    "missing": (["none.wav", "--vary", "0.5"], "there is no sound file none.wav"),
    "no sound": (["words.wav", "--vary", "0.5"], "words.wav: no sound in it"),
    "no verb": (["NOTE"], "--vary|--fill|--extend|required"),
    "two verbs": (["NOTE", "--vary", "0.5", "--extend", "3"], "--extend|not allowed with|--vary"),
    "outside": (["NOTE", "--fill", "0.3:9"], "inside the recording|note.wav holds 0.500 s|0.3:9"),
    "backwards": (["NOTE", "--fill", "0.3:0.2"], "FROM:TO|0.3:0.2"),
    "no times": (["NOTE", "--fill", "half"], "two times in seconds, such as 0.2:0.5, got 'half'"),
    "nan": (["NOTE", "--fill", "0:nan"], "inside the recording"),
    "shorter": (["NOTE", "--extend", "0.4"], "the recording included|holds 0.500 s, got 0.4"),
    "endless": (["NOTE", "--extend", "inf"], "--extend|got inf"),
    "strength": (["NOTE", "--vary", "1.5"], "--vary takes 0 (keep all) to 1|got 1.5"),
    "visits": (["NOTE", "--extend", "1", "--visits", "0"], "--visits must be at least 1, got 0"),
    "steps": (["NOTE", "--vary", "0.5", "--steps", "0"], "--num and --steps"),
    "label": (["NOTE", "--vary", "0.5", "--label", "60"], "no labels: leave --label out"),
    "run": (["NOTE", "--vary", "0.5", "--run", "nobody"], "'nobody'"),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory, piano_folder):
    """A folder with half a second of a note, as stereo of another rate too."""
    folder = tmp_path_factory.mktemp("edit")
    audio, rate = soundfile.read(sorted(piano_folder.glob("*_ff.flac"))[30], RATE // 2)
    soundfile.write(folder / "note.wav", audio, rate, subtype="FLOAT")
    soundfile.write(folder / "stereo.flac", np.stack([audio, 0 * audio], 1), 2 * rate)
    (folder / "words.wav").write_text("these are words " * 50)
    return folder


@pytest.fixture(scope="module")
def answers(work, first, run_many):
    """What the script said to all of it, by name."""
    run = ["--run", str(first.folder), "--steps", "3"]
    cases = {name: ["note.wav", *words] for name, words in DONE.items()}
    cases["stereo"] = ["stereo.flac", "--fill", "0.1:0.2"]
    for name, (words, _) in REFUSED.items():
        cases[name] = [word.replace("NOTE", "note.wav") for word in words]
    return run_many([
        {
            "name": name, "script": "edit.py", "cwd": str(work),
            "arguments": [*run, "--out", f"out/{name}", "--num", "2", *words],
        }
        for name, words in cases.items()
    ])  # fmt: skip


def samples(work, answers, name):
    assert answers[name]["code"] == 0, answers[name]["err"]
    return np.load(work / "out" / name / "samples.npy")


@pytest.fixture(scope="module")
def note(work):
    return soundfile.read(work / "note.wav", dtype="float32")[0]


class TestEdits:
    def test_a_filled_gap_leaves_the_rest_as_it_was(self, work, answers, note):
        made = samples(work, answers, "fill")
        assert made.shape == (2, 1, 8000)
        assert (made[..., :1600] == note[:1600]).all() and (made[..., 2400:] == note[2400:]).all()
        assert (made[0, 0, 1600:2400] != note[1600:2400]).any()
        assert (made[0] != made[1]).any()

    def test_an_answer_depends_on_the_seed_and_its_number_alone(self, work, answers):
        made = samples(work, answers, "fill")
        assert (samples(work, answers, "again")[0] == made[0]).all()
        assert (samples(work, answers, "other seed")[0] != made[0]).any()

    def test_a_variation(self, work, answers, note):
        assert samples(work, answers, "vary").shape == (2, 1, 8000)
        np.testing.assert_allclose(samples(work, answers, "keep")[0, 0], note, atol=1e-5)

    def test_an_extension_begins_with_the_recording(self, work, answers, note):
        made = samples(work, answers, "extend")
        assert made.shape == (2, 1, 11200) and (made[..., :8000] == note).all()
        assert np.abs(made[..., 8000:]).max() > 0

    def test_other_rates_and_channels_are_brought_to_those_of_the_run(self, work, answers):
        assert samples(work, answers, "stereo").shape == (2, 1, 4000)

    def test_what_was_asked_is_written_down(self, work, answers):
        told = json.loads((work / "out" / "fill" / "samples.json").read_text("utf-8"))
        assert (told["fill"], told["file"], told["sampler"]) == (
            "0.1:0.15", "note.wav", "dpmpp_2m_sde",
        )  # fmt: skip
        assert told["net_calls"] > 2 * 3 and len(told["sounds"]) == 2
        assert (work / "out" / "fill" / "sample_001.wav").is_file()


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(work, answers, name):
    answer = answers[name]
    assert answer["code"] == 1 and "Traceback" not in answer["err"], answer
    (line,) = answer["err"].splitlines()
    assert line.startswith("error: ")
    for words in REFUSED[name][1].split("|"):
        assert words in line
    assert not (work / "out" / name).exists()
