"""diagnose.py: runs of every recipe, recordings alone, what it writes, and its exit status."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")

TRAINED = {
    "unconditional": [],
    "class_conditional": ["sample.guidance=2", "data.label_columns=note"],
    "text_conditional": ["text.features=16"],
    "upsampler": [],
    "vocoder": ["model.mels=16", "model.frame=256", "model.hop=64"],
    "diffusion_ae": ["model.latent_hop=256"],
    "autoregressive": ["model.num_splits=4"],
}
ASKED = {  # the slow groups now and then: between them each recipe and each group has its turn
    "unconditional": ["--only", "data", "space", "losses"],
    "class_conditional": ["--only", "conditioning", "sampling"],
    "text_conditional": ["--only", "conditioning", "schedule"],
    "upsampler": ["--only", "schedule", "conditioning"],
    "vocoder": ["--only", "losses", "conditioning"],
    "diffusion_ae": ["--only", "space", "conditioning"],
    "autoregressive": [],
}
REFUSED = {
    "no such run": (["--run", "nobody"], "no run 'nobody'"),
    "two questions": (["--run", "unconditional", "--data", "dc"], "not allowed with"),
    "no such group": (["--only", "noise"], "invalid choice: 'noise'"),
    "no such folder": (["--data", "nowhere"], "nowhere does not exist; correct --data"),
    "no page": (["--data", "dc", "--out", "page.txt"], "--out must end in .html"),
    "nowhere to write": (["--data", "dc", "--out", "none/a.html"], "no folder none"),
    "a rate for a run": (["--run", "unconditional", "--sample-rate", "8000"], "leave them out"),
    "no sound": (["--data", "empty"], "or correct --data"),
    "no other run": (["--run", "unconditional", "--against", "nobody"], "no run 'nobody'"),
}


@pytest.fixture(scope="module")
def answers(run_many, tmp_path_factory, small):
    """Tiny runs of every recipe, and what diagnose.py says of them and of recordings."""
    work = tmp_path_factory.mktemp("doctor")
    (work / "empty").mkdir()
    (work / "dc").mkdir()
    for number in range(20):
        tone = 0.1 * np.sin(np.arange(8000) * (0.1 + 0.01 * number)) + 0.3
        soundfile.write(work / "dc" / f"{number}.wav", tone, 8000)
    train = ["train.max_steps=24", "train.log_every=1", "train.validation_items=2",
             "train.precision=fp32", "train.diagnose=off"]  # fmt: skip
    cases = [
        (f"train {recipe}", f"train_{recipe}.py", [*small, *train, *more])
        for recipe, more in TRAINED.items()
    ]
    again = ["--experiment", "again", *small, *train, "train.max_steps=1"]
    heart = ["--experiment", "heart", *small, *train, "train.overfit=1"]
    louder = ["--experiment", "louder", *small, *train, "data.normalize=peak"]
    other = ["--experiment", "other", *small, *train, "model.exponent=0.6"]
    cases += [
        (f"train {words[1]}", "train_unconditional.py", words)
        for words in (heart, louder, other, again)
    ]
    cases += [
        (recipe, "diagnose.py", ["--run", recipe, *words, "--device", "cpu"])
        for recipe, words in ASKED.items()
    ]
    cases += [
        ("again", "diagnose.py", ["--run", "again", "--only", "losses"]),
        *((name, "diagnose.py", ["--run", name, "--only", "data", "space", "losses"])
          for name in ("heart", "louder", "other")),
        ("against", "diagnose.py",
         ["--run", "unconditional", "--against", "again", "--only", "losses",
          "--out", "beside.html"]),
        ("dc", "diagnose.py", ["--data", "dc", "--sample-rate", "8000", "--length", "2048"]),
        ("newest", "diagnose.py", ["--only", "schedule", "--out", "newest.html"]),
    ]  # fmt: skip
    cases += [(name, "diagnose.py", words) for name, (words, _) in REFUSED.items()]
    done = run_many(
        [{"name": n, "script": s, "arguments": a, "cwd": str(work)} for n, s, a in cases]
    )
    for recipe in TRAINED:
        assert done[f"train {recipe}"]["code"] == 0, done[f"train {recipe}"]["err"]
    return work, done


def read(work, recipe):
    """The dictionary and the page of a run."""
    (folder,) = work.glob(f"runs/*_{recipe}")
    name = "diagnosis_only" if ASKED[recipe] else "diagnosis"
    other = "diagnosis" if ASKED[recipe] else "diagnosis_only"
    assert not (folder / f"{other}.html").exists()
    plain = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return plain, (folder / f"{name}.html").read_text("utf-8")


class TestRuns:
    @pytest.mark.parametrize("recipe", ASKED)
    def test_every_recipe_is_examined(self, answers, recipe):
        work, done = answers
        answer = done[recipe]
        plain, page = read(work, recipe)
        assert answer["code"] == int(plain["verdict"] == "wrong"), answer["err"]
        assert "could not be examined" not in answer["out"]
        groups = ASKED[recipe][1:] or list(plain["groups"])
        order = ["data", "space", "schedule", "losses", "learning", "conditioning", "sampling"]
        assert list(plain["groups"]) == [group for group in order if group in groups]
        checks = [f["check"] for part in plain["groups"].values() for f in part["findings"]]
        assert len(checks) >= 4
        for check in checks:
            assert f"{check}: " in answer["out"] and f"</span> {check}</h3>" in page
        assert f"\n{plain['sentence']}\ndiagnosis: " in answer["out"]
        assert not re.search(r"https?:|<script|url\(", page)

    def test_what_does_not_apply_is_said(self, answers):
        work, _ = answers
        notes = {group: part["notes"] for group, part in read(work, "autoregressive")[0][
            "groups"].items()}  # fmt: skip
        for group in ("schedule", "losses", "learning", "conditioning"):
            assert any("a noise level of its own" in note for note in notes[group]), group
        assert notes["data"] == notes["sampling"] == []

    def test_raw_and_first_weights_are_looked_at(self, answers):
        work, _ = answers
        findings = read(work, "autoregressive")[0]["groups"]["learning"]["findings"]
        made = {finding["check"]: finding for finding in findings}
        assert {"EMA", "weights that never moved", "recorded learning rate"} <= set(made)
        assert made["weights that never moved"]["verdict"] == "ok"

    def test_conditions_reach_the_network_under_guidance(self, answers):
        work, _ = answers
        plain, _ = read(work, "class_conditional")
        checks = {
            f["check"]: f for f in plain["groups"]["conditioning"]["findings"]
        }  # fmt: skip
        assert checks["condition at sampling"]["verdict"] != "wrong"
        assert {"label identity", "conditioner gain at the start"} <= set(checks)

    def test_the_best_earlier_run_stands_beside(self, answers):
        work, done = answers
        earlier, _ = read(work, "unconditional")
        checks = [f["check"] for f in earlier["groups"]["losses"]["findings"]]
        assert "previous best run" not in checks  # none was earlier
        assert "previous best run" in done["again"]["out"]
        assert "previous best run" in done["against"]["out"]
        (page,) = work.glob("runs/*_again/diagnosis_only.html")
        (unconditional,) = work.glob("runs/*_unconditional")  # not one of the three between them
        assert f"The previous best run is {unconditional.name}." in page.read_text("utf-8")
        page = (work / "beside.html").read_text("utf-8")
        (again,) = work.glob("runs/*_again")
        assert f"The previous best run is {again.name}." in page

    def test_runs_of_another_kind_are_not_compared(self, answers):
        _, done = answers
        for name in ("heart", "louder", "other"):
            assert "checks: " in done[name]["out"], done[name]["err"]
            assert "previous best run" not in done[name]["out"], name

    def test_few_clips_are_no_fault_of_a_run_that_was_to_know_them(self, answers):
        _, done = answers
        assert "ok          distinct clips: 1 distinct clip among 1" in done["heart"]["out"]
        assert "ok          latent scale: " in done["heart"]["out"]

    def test_the_newest_run_is_taken(self, answers):
        work, done = answers
        (again,) = work.glob("runs/*_again")
        assert f'"about": "{again.name}"' in (work / "newest.json").read_text("utf-8")
        assert done["newest"]["out"].endswith("diagnosis: newest.html\n")


class TestRecordings:
    def test_a_fault_is_called_and_is_the_status(self, answers):
        work, done = answers
        assert done["dc"]["code"] == 1 and done["dc"]["err"] == ""
        assert "wrong       DC offset: " in done["dc"]["out"]
        plain = json.loads((work / "diagnosis.json").read_text("utf-8"))
        assert plain["about"] == "dc" and list(plain["groups"]) == ["data"]
        assert "DC offset" in (work / "diagnosis.html").read_text("utf-8")
        assert sorted(path.suffix for path in (work / "dc").iterdir()) == [".wav"] * 20

    def test_what_is_right_ends_with_0(self, run_many, tmp_path, piano_folder):
        case = {"name": "fine", "script": "diagnose.py", "cwd": str(tmp_path),
                "arguments": ["--data", str(piano_folder)]}  # fmt: skip
        answer = run_many([case])["fine"]
        assert answer["code"] == 0 and "nothing wrong found" in answer["out"]


@pytest.mark.parametrize("name", REFUSED)
def test_errors_are_one_line(answers, name):
    _, done = answers
    assert done[name]["code"] == 1 and done[name]["out"] == ""
    assert done[name]["err"].startswith("error: ") and done[name]["err"].count("\n") == 1
    assert REFUSED[name][1] in done[name]["err"]
