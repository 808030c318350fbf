"""What goes wrong is told in one line that names the file or key and the remedy."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from audio_diffusion_pytorch.training import load_checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")
UNCONDITIONAL, CLASSES = "train_unconditional.py", "train_class_conditional.py"


class Bad:
    """Makes folders of real notes with one thing wrong in each."""

    def __init__(self, root, piano):
        self.root = root
        self.notes = sorted(piano.glob("*.flac"))[::40]

    def folder(self, name):
        folder = self.root / name
        folder.mkdir()
        for note in self.notes[:4]:
            shutil.copy(note, folder)
        return folder

    def with_bytes(self, name, file, content):
        (self.folder(name) / file).write_bytes(content)

    def with_sound(self, name, file, end, fill):
        """The folder with one more WAV of the first note's 3500 samples, the last ones spoilt."""
        audio, rate = soundfile.read(self.notes[0], 3500)
        audio[3500 - end :] = fill
        soundfile.write(self.folder(name) / file, audio, rate, subtype="FLOAT")


@pytest.fixture(scope="module")
def bad(tmp_path_factory, piano_folder):
    """The folders."""
    bad = Bad(tmp_path_factory.mktemp("bad"), piano_folder)
    (bad.root / "empty").mkdir()
    (bad.root / "empty" / "notes.txt").write_text("no sound")
    bad.folder("good")
    whole = bad.notes[4].read_bytes()
    bad.with_bytes("cut", "cut.flac", whole[: len(whole) // 2])
    middle = len(whole) // 2
    flipped = bytes(byte ^ 255 for byte in whole[middle : middle + 200])
    bad.with_bytes("flipped", "flipped.flac", whole[:middle] + flipped + whole[middle + 200 :])
    bad.with_bytes("text", "text.wav", b"these are words " * 50)
    bad.with_bytes("zero", "zero.wav", b"")
    audio, rate = soundfile.read(bad.notes[0], 500)
    soundfile.write(bad.folder("short") / "short.wav", audio, rate)
    (bad.root / "silent").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        soundfile.write(bad.root / "silent" / name, np.zeros(4000), rate)
    bad.with_sound("nan", "nan.wav", 1, np.nan)
    bad.with_sound("late", "late.wav", 200, np.nan)
    bad.with_sound("huge", "huge.wav", 200, 3e38)
    return bad.root


def spoil_runs(first, root):
    """Copies of a good run, each spoilt in one way, by what is wrong with it."""
    runs = root / "runs"
    names = ("finished", "another", "damaged", "empty", "full", "spoilt", "upsampling")
    for second, name in enumerate(names):
        shutil.copytree(first.folder, runs / f"20200101-00000{second}_{name}")
    other = runs / "20200101-000006_upsampling" / "config.yaml"
    other.write_text(other.read_text("utf-8").replace("recipe: unconditional", "recipe: upsampler"))
    wider = runs / "20200101-000001_another" / "config.yaml"
    settings = yaml.safe_load(wider.read_text("utf-8"))
    settings["model"]["channels"] = [24, 24]
    wider.write_text(yaml.safe_dump(settings), "utf-8")
    damaged = runs / "20200101-000002_damaged" / "checkpoints" / "last.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:5000])
    shutil.rmtree(runs / "20200101-000003_empty" / "checkpoints")
    return runs


# name: (script, words, what the line must hold); DATA/x is a folder of `bad`
REFUSED = {
    "no sound": (UNCONDITIONAL, "data.path=DATA/empty", "DATA/empty|put files there|data.path"),
    "no folder": (UNCONDITIONAL, "data.path=DATA/none", "DATA/none does not exist|data.path"),
    "a file": (UNCONDITIONAL, "data.path=DATA/text/text.wav", "text.wav|not a folder|data.path"),
    "cut": (UNCONDITIONAL, "data.path=DATA/cut", "DATA/cut/cut.flac|remove it|data.bad=skip"),
    "flipped": (UNCONDITIONAL, "data.path=DATA/flipped", "flipped.flac|corrupt|data.bad=skip"),
    "text": (UNCONDITIONAL, "data.path=DATA/text", "text.wav|no sound in it|data.bad=skip"),
    "zero bytes": (UNCONDITIONAL, "data.path=DATA/zero", "zero.wav|empty file|data.bad=skip"),
    "short": (
        UNCONDITIONAL, "data.path=DATA/short data.short=refuse",
        "short.wav|data.length=2048|data.short=pad",
    ),
    "nan": (UNCONDITIONAL, "data.path=DATA/nan", "nan.wav|1 NaN|data.bad=skip"),
    "late nan": (
        UNCONDITIONAL,
        "data.path=DATA/late data.check=header data.validation=0 train.max_steps=300",
        "late.wav|NaN|data.bad=skip",
    ),
    "huge": (
        UNCONDITIONAL,
        "data.path=DATA/huge data.check=header data.validation=0 train.max_steps=300 "
        "train.checkpoint_every=1",
        "not finite at step|huge.wav@|last good checkpoint is|last.pt|look at these files",
    ),
    "key": (UNCONDITIONAL, "train.learning_rat=1", "'train.learning_rat'|'train.learning_rate'"),
    "section": (UNCONDITIONAL, "trian.seed=1", "'trian.seed'|did you mean 'train.seed'"),
    "key in a file": (UNCONDITIONAL, "--config CWD/key.ini", "'data.lenght'|key.ini|data.length"),
    "type": (UNCONDITIONAL, "train.max_steps=many", "'train.max_steps'|expected int|'many'"),
    "type in a file": (UNCONDITIONAL, "--config CWD/type.json", "'data.hop'|int|type.json"),
    "no file": (UNCONDITIONAL, "--config none.ini", "'none.ini' does not exist|check the path"),
    "option": (UNCONDITIONAL, "--reusme", "'--reusme'|did you mean '--resume'"),
    "range": (UNCONDITIONAL, "data.length=0", "data.length must be at least 2, got 0"),
    "one sample": (UNCONDITIONAL, "data.length=1", "data.length must be at least 2, got 1"),
    "no steps": (UNCONDITIONAL, "train.max_steps=0", "train.max_steps must be above 0, got 0"),
    "rate": (UNCONDITIONAL, "train.learning_rate=-1", "train.learning_rate must be above 0"),
    "seed": (UNCONDITIONAL, "train.seed=-1", "train.seed must be 0 or more, got -1"),
    "fp16": (UNCONDITIONAL, "train.precision=fp16", "train.precision=fp16|CUDA|fp32"),
    "guidance": (UNCONDITIONAL, "sample.guidance=3", "sample.guidance|class_conditional.py"),
    "silent": (UNCONDITIONAL, "data.path=DATA/silent", "data.path=DATA/silent: |silent|with sound"),
    "list": (UNCONDITIONAL, "data.held_back=none.json", "data.held_back=none.json|no list"),
    "samples": (UNCONDITIONAL, "sample.steps=0", "sample.steps must be at least 1"),
    "model": (UNCONDITIONAL, "model.channels=15,15", "'model'|channels must be multiples"),
    "labels": (UNCONDITIONAL, "data.labels=(a)", "data.labels|train_class_conditional.py"),
    "runs": (UNCONDITIONAL, "train.runs=DATA/text/text.wav/x", "text.wav|another train.runs"),
    "no match": (CLASSES, "data.labels=(?P<kind>kick|snare)", "kick|no label|data.labels"),
    "no group": (CLASSES, "data.labels=kick", "data.labels kick needs a group"),
    "no manifest": (CLASSES, "data.labels=none.csv", "no label file none.csv"),
    "no labels": (CLASSES, "data.labels=none", "data.labels"),
    "resume, other model": (
        UNCONDITIONAL, "--resume finished model.channels=24,24",
        "_finished|model.channels ([16, 16] -> [24, 24])|without --resume",
    ),
    "resume, other weights": (
        UNCONDITIONAL, "--resume another", "last.pt is from another model|(24,",
    ),
    "resume, other seed": (
        UNCONDITIONAL, "--resume finished train.seed=5", "train.seed (0 -> 5)|without --resume",
    ),
    "resume, rate": (
        UNCONDITIONAL, "--resume spoilt train.learning_rate=-1", "train.learning_rate must be",
    ),
    "resume, fp16": (UNCONDITIONAL, "--resume spoilt train.precision=fp16", "fp16|CUDA"),
    "resume, no such run": (UNCONDITIONAL, "--resume nobody", "'nobody'|known experiments: |full"),
    "resume, other recipe": (
        UNCONDITIONAL, "--resume upsampling",
        "cannot resume|_upsampling', which another recipe made|'recipe'|got 'upsampler'",
    ),
    "generate, other recipe": (
        "generate.py", "--run upsampling --out o",
        "_upsampling was trained by train_upsampler.py: export_pretrained.py|with --run",
    ),
    "inpaint, other recipe": ("inpaint.py", "--run upsampling", "train_upsampler.py|with --run"),
    "generate, other weights": (
        "generate.py", "--run another --out o", "last.safetensors is from another model",
    ),
    "generate, damaged": ("generate.py", "--run damaged --out o", "last.safetensors is damaged"),
    "generate, no checkpoint": ("generate.py", "--run empty --out o", "no checkpoint yet|--run"),
    "generate, no run": ("generate.py", "--runs none --out o", "no run in 'none'|train first"),
    "generate, label": ("generate.py", "--run full --out o --label A", "no labels|--label"),
    "generate, device": ("generate.py", "--run full --out o --device gpu", "--device='gpu'|cpu"),
    "generate, num": ("generate.py", "--run full --out o --num 0", "--num"),
    "generate, steps": ("generate.py", "--run full --out o --steps 5 0", "--steps"),
    "generate, words": ("generate.py", "--run full --out o --num x", "--num|'x'"),
    "generate, both": ("generate.py", "--run full --out o --peak -1 --loudness -20", "--peak"),
    "generate, out": ("generate.py", "--run full --out DATA/text/text.wav", "text.wav"),
    "score, other run": ("score_piano.py", "--run full", "_full was not trained on labelled piano"),
}  # fmt: skip
# words of runs that need a process of their own making
SPECIAL = {
    "no tensorboard": {"missing": ["tensorboard"]},
    "no matplotlib": {"missing": ["matplotlib"]},
}
EARLY = ["no sound", "cut", "model", "labels", "samples", "one sample", "no steps", "rate", "seed",
         "fp16", "guidance", "silent", "list"]  # fmt: skip
ACCEPTED = {
    "skip": (UNCONDITIONAL, "data.path=DATA/cut data.bad=skip"),
    "late skip": (
        UNCONDITIONAL,
        "data.path=DATA/late data.check=header data.validation=0 data.bad=skip train.max_steps=40",
    ),
    "pad": (UNCONDITIONAL, "data.path=DATA/short"),
    "finished again": (UNCONDITIONAL, "--resume finished"),
    "after a refusal": (UNCONDITIONAL, "--resume spoilt"),
    "diverged": (UNCONDITIONAL, "train.learning_rate=0.5 train.warmup_steps=0 train.max_steps=40"),
    "few steps, nothing held back": (UNCONDITIONAL, "data.validation=0 train.max_steps=2"),
}


@pytest.fixture(scope="module")
def answers(first, bad, small, run_many, tmp_path_factory):
    """What the recipes said to all of it; each in a folder of its own but those with --run."""
    work = tmp_path_factory.mktemp("work")
    spoil_runs(first, work)
    shutil.copytree(first.folder.parents[1] / "Meine Töne", work / "Meine Töne")
    base = [*small, "sample.num=1", "train.batch_size=4", "train.max_steps=6"]
    base += ["train.validation_items=2", "train.precision=fp32"]
    cases = []

    def ask(name, script, words, **special):
        known_run = "--run" in words or "--resume" in words or script == "generate.py"
        cwd = work if known_run else tmp_path_factory.mktemp(re.sub(r"\W", "_", name))
        words = words.replace("DATA", str(bad)).replace("CWD", str(cwd)).split()
        if not known_run and not any(word.startswith("data.path") for word in words):
            words.insert(0, f"data.path={bad / 'good'}")
        if not known_run:
            words = base + words
        case = {"name": name, "script": script, "arguments": words, "cwd": str(cwd)}
        cases.append({**case, **special})
        (cwd / "key.ini").write_text("[data]\nlenght = 3 ; a comment\n")
        (cwd / "type.json").write_text('{"data": {"hop": "wide"}}')

    for name, (script, words, _) in REFUSED.items():
        ask(name, script, words)
    for name, special in SPECIAL.items():
        ask(name, UNCONDITIONAL, "", **special)
    for name, (script, words) in ACCEPTED.items():
        ask(name, script, words)
    full = "train.checkpoint_every=3 train.sample_every=0 train.max_steps=70"
    ask("disk full", UNCONDITIONAL, f"--resume full {full}", largest_file=150_000)
    ask("disk full, generate", "generate.py", "--run full --out o --num 2", largest_file=1000)
    answers = run_many(cases)
    for case in cases:
        answers[case["name"]]["cwd"] = case["cwd"]
    return answers


def error_line(answer):
    """The one line of an answer that is an error."""
    assert answer["code"] == 1, answer["out"] + answer["err"]
    assert "Traceback" not in answer["out"] + answer["err"]
    lines = answer["err"].splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), answer["err"]
    assert not lines[0].endswith(":") and "run: " not in answer["out"]
    return lines[0]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(answers, bad, name):
    line = error_line(answers[name])
    for words in REFUSED[name][2].replace("DATA", str(bad)).split("|"):
        assert words in line


@pytest.mark.parametrize("name", [*SPECIAL, *EARLY])
def test_what_is_known_before_training_leaves_no_run_behind(answers, name):
    error_line(answers[name])
    assert not (Path(answers[name]["cwd"]) / "runs").exists()


@pytest.mark.parametrize("name", SPECIAL)
def test_a_missing_extra_is_named(answers, name):
    line = error_line(answers[name])
    assert name.removeprefix("no ") in line
    assert 'pip install "audio-diffusion-pytorch[train]"' in line


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_rest_goes_on(answers, name):
    answer = answers[name]
    assert answer["code"] == 0, answer["err"]
    assert "Traceback" not in answer["err"]
    assert answer["out"].splitlines()[-1].startswith("run: ")


def page(answer):
    return (Path(answer["out"].splitlines()[-1][5:]) / "report.html").read_text("utf-8")


def test_a_bad_file_left_out_is_named_in_the_report(answers):
    said = "cut/cut.flac: corrupt or cut short"
    assert "left out, " in answers["skip"]["out"] and said in answers["skip"]["out"]
    assert said in page(answers["skip"])
    assert answers["skip"]["out"].count("cut.flac") == 1 and answers["skip"]["err"] == ""


def test_a_file_that_turns_out_bad_is_warned_of_once(answers):
    assert answers["late skip"]["err"].count("late.wav") == 1
    assert answers["late skip"]["err"].count("\n") == 1
    assert "late.wav: holds 200 NaN" in page(answers["late skip"])


def test_short_files_are_counted(answers):
    said = "padded with zeros at the end, shorter than a clip: 1 file (short.wav)"
    assert said in answers["pad"]["out"] and said in page(answers["pad"])


def test_a_diverged_run_is_not_told_to_go_on(answers):
    said = answers["diverged"]["out"].splitlines()[-2]
    assert "diverged" in said and "lower train.learning_rate" in said and "longer" not in said


def test_a_finished_run_stays_as_it_is(answers, first):
    assert "clips a second" not in answers["finished again"]["out"]
    folder = Path(answers["finished again"]["out"].splitlines()[-1][5:])
    for name in ("logs/scalars.jsonl", "checkpoints/last.safetensors"):
        assert (folder / name).read_bytes() == (first.folder / name).read_bytes()


def test_a_full_disk_harms_no_checkpoint(answers, first, run_many):
    line = error_line(answers["disk full"])
    assert re.search(r"cannot save .*_full/checkpoints/step_000000\d\d\.pt", line)
    assert "free space" in line and "--resume" in line
    work = Path(answers["disk full"]["cwd"])
    folder = next((work / "runs").glob("*_full")) / "checkpoints"
    assert not list(folder.glob(".*"))
    before = first.folder / "checkpoints"
    assert {p.name for p in folder.iterdir()} == {p.name for p in before.iterdir()}
    for path in before.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert load_checkpoint(folder / "last.pt")["step"] == 60
    again = {
        "name": "again", "script": UNCONDITIONAL, "cwd": str(work),
        "arguments": ["--resume", "full", "train.max_steps=63"],
    }  # fmt: skip
    answer = run_many([again])["again"]
    assert answer["code"] == 0, answer["err"]
    assert "at step 60" in answer["out"] and "trained 63 steps" in answer["out"]


def test_a_full_disk_while_writing_sounds(answers):
    line = error_line(answers["disk full, generate"])
    assert "sample_000.wav" in line and "free some space" in line
