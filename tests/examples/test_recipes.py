"""The recipes on real recordings: train, be killed, go on, make sounds."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file, save_file

from audio_diffusion_pytorch.training import load_checkpoint, load_config, make_sounds, read_scalars

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills and forks processes")
STEPS = 60


def samples(folder):
    return np.load(folder / "samples.npy")


def listing(folder):
    return json.loads((folder / "samples.json").read_text("utf-8"))


class TestTraining:
    def test_every_kind_of_file_is_found_and_counted(self, first, recordings):
        named = [p for p in recordings.rglob("*") if p.suffix in (".wav", ".flac", ".ogg")]
        train = int(re.search(r"Meine Töne: (\d+) sound files", first.out)[1])
        held_back = int(re.search(r"held back, only judging: (\d+) file", first.out)[1])
        assert train + held_back == len(named)
        for what in ("16000 Hz x", "22050 Hz x", "44100 Hz x", "channels: 1 x", "2 x"):
            assert what in first.out

    def test_the_run_folder(self, first):
        assert re.fullmatch(r"\d{8}-\d{6}_first", first.folder.name)
        assert first.folder.parent.name == "runs"
        found = {p.relative_to(first.folder).as_posix() for p in first.folder.rglob("*.*")}
        events = {name for name in found if name.startswith("logs/events.out.tfevents")}
        assert len(events) == 1
        assert found - events == {
            "config.yaml", "labels.json", "summary.json", "report.html", "levels.json",
            "logs/scalars.jsonl", "logs/console.log",
            "checkpoints/last.pt", "checkpoints/last.safetensors",
            "checkpoints/best.pt", "checkpoints/best.safetensors",
            "checkpoints/step_00000056.pt", "checkpoints/step_00000060.pt",
            *(f"samples/step_{step:06d}_sample_{i}.{kind}"
              for step in (40, 60) for i in (0, 1) for kind in ("wav", "png")),
        }  # fmt: skip

    def test_what_was_printed_is_in_the_console_log(self, first):
        log = (first.folder / "logs" / "console.log").read_text("utf-8").splitlines()
        assert log[0].startswith("--- ") and log[1:] == first.out.splitlines()
        assert "\x1b" not in first.out and "\r" not in first.out

    def test_summary(self, first):
        summary = json.loads((first.folder / "summary.json").read_text("utf-8"))
        assert set(summary) == {
            "completed", "name", "final_loss", "best_loss", "steps", "epochs", "minutes",
            "parameters", "metrics", "config", "directory", "git_revision", "versions",
        }  # fmt: skip
        assert (summary["completed"], summary["name"], summary["steps"]) == (True, "first", STEPS)
        assert f"{summary['parameters']:,} parameters" in first.out
        clips = int(re.search(r", (\d+) clips of 2048 samples", first.out)[1])
        assert summary["epochs"] == pytest.approx(STEPS * 16 / clips)
        assert first.rows[-1].endswith(f'"train/loss": {summary["final_loss"]}')
        assert summary["config"] == yaml.safe_load(
            (first.folder / "config.yaml").read_text("utf-8")
        )

    def test_report(self, first):
        page = (first.folder / "report.html").read_text("utf-8")
        assert page.count("<audio controls") == 2 + 4  # made, and real ones to compare
        assert page.count("data:audio/wav;base64,") == 6 and page.count("<svg") >= 8
        assert "http" not in re.sub(r'"http://www\.w3\.org/[^"]*"|http-equiv', "", page)
        assert f"Trained {STEPS} steps" in page and f"Trained {STEPS} steps" in first.out

    def test_both_logs_hold_the_same_scalars(self, first):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(first.folder / "logs"), {"scalars": 0}).Reload()
        curves = read_scalars(first.folder / "logs" / "scalars.jsonl")
        assert set(events.Tags()["scalars"]) == set(curves)
        assert {"train/loss", "train/learning_rate", "validation/loss"} <= set(curves)
        for name, (steps, values) in curves.items():
            told = events.Scalars(name)
            assert [event.step for event in told] == steps
            assert [event.value for event in told] == pytest.approx(values, rel=1e-6)
        assert len(curves["train/loss"][0]) == STEPS
        assert set(events.Tags()["audio"]) == {"sample/0", "sample/1"}

    def test_the_board_tells_what_was_trained(self, first):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(first.folder / "logs"), {"tensors": 0}).Reload()
        parameters = re.search(r"model: ([\d,]+ parameters)", first.out)[1]
        for name, words in {"model": f"{parameters}|UNetV0", "config": '"data"|2048'}.items():
            (event,) = events.Tensors(f"{name}/text_summary")
            said = event.tensor_proto.string_val[0].decode()
            assert all(word in said for word in words.split("|"))

    def test_it_learns(self, first):
        curves = read_scalars(first.folder / "logs" / "scalars.jsonl")
        steps, losses = curves["validation/loss"]  # on fixed clips, noise and times
        assert steps == [25, 50, 60]
        assert losses[-1] < 0.97 * curves["zero_predictor/loss"][1][-1]


class TestKill:
    def test_the_archived_settings_repeat_the_run(self, first, killed):
        steps = len(killed.rows_before)
        assert 12 <= steps < STEPS and killed.rows_before == first.rows[:steps]

    def test_the_rest_is_equal_bit_for_bit(self, first, killed):
        resumed = int(re.search(r"resumed from .*last\.pt at step (\d+)", killed.out)[1])
        assert 0 < resumed <= len(killed.rows_before) and resumed % 7 == 0
        assert killed.rows == first.rows and len(first.rows) == STEPS

    def test_the_weights_are_equal(self, first, killed):
        one, other = (
            load_checkpoint(run.folder / "checkpoints/last.pt") for run in (first, killed)
        )
        for part in ("model", "ema"):
            assert one[part].keys() == other[part].keys()
            assert all(torch.equal(one[part][key], other[part][key]) for key in one[part])

    def test_the_resumed_run_says_that_it_is_whole(self, killed):
        summary = json.loads((killed.folder / "summary.json").read_text("utf-8"))
        assert summary["completed"] and summary["steps"] == STEPS
        log = (killed.folder / "logs" / "console.log").read_text("utf-8")
        assert log.count("\n--- ") == 1 and log.startswith("--- ")  # two sessions
        assert not list(killed.folder.rglob(".*"))  # nothing half written is left


@pytest.fixture(scope="module")
def made(first, killed, run_many, tmp_path_factory):
    """What generate.py made and said, by name; `folders` holds where."""
    work, loud = first.folder.parents[1], make_loud(first, tmp_path_factory.mktemp("loud"))
    ask = {
        "two": ["--run", "first", "--num", "3", "--steps", "2", "4"],
        "peak": ["--run", "first", "--num", "3", "--steps", "4", "--peak", "-3"],
        "newest": ["--num", "1", "--steps", "4"],
        "other": ["--num", "1", "--steps", "4", "--seed", "1", "--subtype", "FLOAT"],
        "many": ["--num", "5", "--steps", "2"],
        "loud": ["--run", str(loud), "--num", "2", "--steps", "2"],
    }
    out = tmp_path_factory.mktemp("sounds") / "with blank"
    answers = run_many(
        [
            {"name": name, "script": "generate.py", "cwd": str(work),
             "arguments": [*words, "--out", str(out / name)]}
            for name, words in ask.items()
        ]
    )  # fmt: skip
    assert {name: answer["code"] for name, answer in answers.items()} == dict.fromkeys(ask, 0)
    return {**answers, "folders": {name: out / name for name in ask}}


def make_loud(first, folder):
    """A run whose model answers 100 dB louder: its normaliser was told so."""
    loud = folder / "20200101-000000_loud"
    shutil.copytree(first.folder, loud)
    weights = load_file(loud / "checkpoints/last.safetensors")
    names = [name for name in weights if name.startswith("normalizer.") and "scale" in name]
    names = names or [name for name in weights if name.startswith("normalizer.") and "std" in name]
    assert names, list(weights)
    for name in names:
        weights[name] = weights[name] * 1e3
    save_file(weights, loud / "checkpoints/last.safetensors")
    return loud


class TestGenerate:
    def test_one_folder_for_each_step_count(self, made):
        for steps in (2, 4):
            folder = made["folders"]["two"] / f"steps_{steps:04d}"
            assert sorted(p.name for p in folder.iterdir()) == sorted(
                ["samples.npy", "samples.json"]
                + [f"sample_{i:03d}.{kind}" for i in range(3) for kind in ("wav", "png")]
            )
            array = samples(folder)
            assert array.dtype == np.float32 and array.shape == (3, 1, 2048)
            told = listing(folder)
            assert (told["steps"], told["net_calls"], told["sample_rate"]) == (steps, steps, 16000)
            assert told["run"].endswith("_first") and told["real_time_factor"] > 0
        assert sorted(p.name for p in made["folders"]["two"].iterdir()) == [
            "steps_0002", "steps_0004",
        ]  # fmt: skip

    def test_it_prints_level_speed_and_cost(self, made):
        lines = made["two"]["out"].splitlines()
        assert len(lines) == 2 * (3 + 1)
        array = samples(made["folders"]["two"] / "steps_0004")
        level = np.mean(10 * np.log10(np.mean(array.astype(float) ** 2, axis=(1, 2))))
        assert f"3 sounds of 0.13 s in 4 steps: mean level {level:.1f} dBFS" in lines[-1]
        assert " x real time), 4 net calls" in lines[-1]
        assert made["two"]["err"] == ""  # no bar where nobody looks

    def test_wavs_are_linear(self, made):
        folder = made["folders"]["two"] / "steps_0004"
        for i, sound in enumerate(samples(folder)):
            written, rate = soundfile.read(folder / f"sample_{i:03d}.wav", always_2d=True)
            assert rate == 16000
            assert np.abs(written.T - sound).max() <= 0.5 / 32768 + 1e-9
            entry = listing(folder)["sounds"][i]
            assert (entry["gain_db"], entry["limited_db"], entry["over_full_scale"]) == (0, 0, 0)
        other = made["folders"]["other"]
        written, _ = soundfile.read(other / "sample_000.wav", dtype="float32", always_2d=True)
        assert np.array_equal(written.T, samples(other)[0])

    def test_a_peak_is_given_only_when_asked(self, made):
        folder = made["folders"]["peak"]
        array = samples(folder)
        assert np.array_equal(array, samples(made["folders"]["two"] / "steps_0004"))
        for i, sound in enumerate(array):
            written, _ = soundfile.read(folder / f"sample_{i:03d}.wav", always_2d=True)
            assert np.abs(written).max() == pytest.approx(10 ** (-3 / 20), abs=1e-4)
            gain = listing(folder)["sounds"][i]["gain_db"]
            assert gain == pytest.approx(-3 - 20 * math.log10(np.abs(sound).max()), abs=1e-3)
        assert made["peak"]["out"].count("dB as asked") == 3

    def test_seeds_and_places(self, made):
        folders = made["folders"]
        alone = samples(folders["newest"])[0]
        among = samples(folders["two"] / "steps_0004")
        assert np.allclose(alone, among[0], atol=1e-6)  # however many are made beside it
        assert not np.allclose(among[0], among[1], atol=1e-5)
        assert not np.allclose(alone, samples(folders["other"])[0], atol=1e-5)
        assert np.allclose(samples(folders["many"])[:3], samples(folders["two"] / "steps_0002"),
                           atol=1e-6)  # fmt: skip

    def test_the_newest_run_is_taken(self, made, killed):
        assert listing(made["folders"]["newest"])["run"] == killed.folder.name

    def test_the_averaged_weights_of_the_last_checkpoint_are_used(self, made, first, recipe):
        config = load_config(recipe.Config, first.folder / "config.yaml")
        content = load_checkpoint(first.folder / "checkpoints/last.pt")
        assert content["step"] == STEPS
        sounds = {}
        for part in ("ema", "model"):
            model = recipe.build_model(config).eval()
            state = {key.removeprefix("module."): value for key, value in content[part].items()}
            model.load_state_dict({key: state[key] for key in model.state_dict()})
            sampling = recipe.choose_sampling(model, config.sample)._asdict()
            sounds[part] = make_sounds(model, 3, 2048, 16000, 4, **sampling).audio.numpy()
        array = samples(made["folders"]["two"] / "steps_0004")
        assert np.allclose(array, sounds["ema"], atol=1e-6)
        assert np.abs(array - sounds["model"]).max() > 10 * np.abs(array - sounds["ema"]).max()

    def test_what_exceeds_full_scale_is_told_once(self, made):
        folder = made["folders"]["loud"]
        array = samples(folder)
        assert np.abs(array).max() > 1  # the array is as the model made it
        told = made["loud"]["out"] + made["loud"]["err"]
        for i, sound in enumerate(array):
            assert told.count(f"sample_{i:03d}.wav") == 1
            written, _ = soundfile.read(folder / f"sample_{i:03d}.wav", always_2d=True)
            assert np.abs(written.T - sound.clip(-1, 32767 / 32768)).max() <= 0.5 / 32768 + 1e-9
            over = listing(folder)["sounds"][i]["over_full_scale"]
            assert over == (np.abs(sound) > 1).sum()
        assert "over full scale" in told


@pytest.fixture(scope="module")
def labelled(run_many, tmp_path_factory, small):
    """Synthetic sounds with their manifest, a stereo model of their kinds, and its sounds."""
    work = tmp_path_factory.mktemp("labelled")
    labels = ["data.labels=labels.csv", "data.label_columns=kind"]
    cases = [
        ("write", "make_synthetic_data.py", ["--count", "12", "--out", "synthetic"]),
        ("train", "train_class_conditional.py",
         ["data.path=synthetic", "data.channels=2", *labels, *small, "train.max_steps=8",
          "train.validation_items=2"]),
        ("both", "generate.py",
         ["--num", "3", "--steps", "2", "--out", "both", "--label", "sine", "chirp"]),
        ("one", "generate.py", ["--num", "3", "--steps", "2", "--out", "one", "--label", "sine"]),
        ("guided", "generate.py",
         ["--num", "3", "--steps", "2", "--out", "guided", "--label", "sine", "--guidance", "3"]),
        ("unknown", "generate.py", ["--num", "1", "--out", "no", "--label", "trumpet"]),
        ("too many", "generate.py", ["--num", "1", "--out", "no", "--label", "sine:ff"]),
    ]  # fmt: skip
    answers = run_many(
        [{"name": n, "script": s, "arguments": a, "cwd": str(work)} for n, s, a in cases]
    )
    return work, answers


class TestLabels:
    def test_a_stereo_model_of_a_manifest(self, labelled):
        work, answers = labelled
        assert answers["train"]["code"] == 0, answers["train"]["err"]
        folder = next((work / "runs").iterdir())
        assert folder.name.endswith("_class_conditional")
        table = json.loads((folder / "labels.json").read_text("utf-8"))
        assert list(table) == ["kind"] and {"sine", "chirp"} <= set(table["kind"])
        sound, _ = soundfile.read(folder / "samples" / "step_000008_sample_0.wav")
        assert sound.shape == (2048, 2)
        assert samples(work / "both").shape == (3, 2, 2048)

    def test_labels_are_cycled(self, labelled):
        work, _ = labelled
        both, one = samples(work / "both"), samples(work / "one")
        for i, same in enumerate((True, False, True)):
            assert np.allclose(both[i], one[i], atol=1e-7) == same
        assert listing(work / "both")["label"] == ["sine", "chirp"]

    def test_guidance_changes_the_sounds(self, labelled):
        work, _ = labelled
        assert not np.allclose(samples(work / "guided"), samples(work / "one"), atol=1e-7)

    def test_unknown_labels_are_refused(self, labelled):
        work, answers = labelled
        for name, words in {"unknown": "kind 'trumpet'", "too many": "'sine:ff' has 2"}.items():
            assert answers[name]["code"] == 1 and words in answers[name]["err"]
            assert answers[name]["err"].count("\n") == 1
        assert not (work / "no").exists()


def test_two_processes_make_one_run(recordings, small, project_root, tmp_path):
    environment = {"PYTHONPATH": str(project_root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
         str(project_root / "examples" / "train_unconditional.py"), f"data.path={recordings}",
         *small, "train.max_steps=4", "train.log_every=1", "train.validation_items=2"],
        cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (folder,) = (tmp_path / "runs").iterdir()
    assert done.stdout.splitlines()[-1] == f"run: {folder}"
    assert done.stdout.count("run: ") == done.stdout.count("trained 4 steps") == 1
    assert load_checkpoint(folder / "checkpoints" / "last.pt")["exact"]["world_size"] == 2
    assert len(read_scalars(folder / "logs" / "scalars.jsonl")["train/loss"][0]) == 4
    assert (folder / "report.html").is_file()


def test_recordings_that_changed_are_told_on_resume(recordings, run_many, small, tmp_path):
    notes = sorted(recordings.rglob("*.flac"))
    for note in notes:
        shutil.copy(note, tmp_path / note.name)
    settings = [*small, f"data.path={tmp_path}", "train.validation_items=2", "data.validation=0"]
    case = {"script": "train_unconditional.py", "cwd": str(tmp_path / "work")}
    first = {**case, "name": "first", "arguments": [*settings, "train.max_steps=2"]}
    assert run_many([first])["first"]["code"] == 0
    (tmp_path / notes[0].name).unlink()
    more = ["--resume", "train.max_steps=4"]
    answer = run_many([{**case, "name": "more", "arguments": more}])["more"]
    assert answer["code"] == 0, answer["err"]
    (line,) = [line for line in answer["out"].splitlines() if line.startswith("note: ")]
    assert re.match(r"note: the recordings changed since, \d+ clips .* then, \d+ clips", line)


def test_the_score_of_a_model_that_knows_nothing_fails(run_many, small, tmp_path):
    case = {"cwd": str(tmp_path)}
    train = ["train.max_steps=1", "train.validation_items=1", "sample.num=1"]
    cases = [
        {**case, "name": "train", "script": "train_class_conditional.py",
         "arguments": [*small, *train]},
        {**case, "name": "score", "script": "score_piano.py", "arguments": ["--steps", "1"]},
    ]  # fmt: skip
    answers = run_many(cases)
    assert answers["train"]["code"] == 0, answers["train"]["err"]
    out = answers["score"]["out"].splitlines()
    assert "32 draws of the 16 held-back pairs, never trained on" in out[-2]
    assert out[-1].startswith("score: ") and answers["score"]["err"] == ""
    assert answers["score"]["code"] == 1


def test_the_newest_run_of_the_right_recipe_is_taken(first, recipe, trained, tmp_path):
    @dataclass
    class VocoderConfig(recipe.Config):
        recipe: Literal["vocoder"] = "vocoder"

    for second, name in enumerate(("unconditional", "class_conditional", "vocoder")):
        folder = tmp_path / f"20200101-00000{second}_{name}"
        shutil.copytree(first.folder, folder)
        config = folder / "config.yaml"
        text = config.read_text("utf-8").replace("recipe: unconditional", f"recipe: {name}")
        config.write_text(text, "utf-8")
    assert trained.load_run(None, str(tmp_path)).run.experiment == "class_conditional"
    shutil.rmtree(tmp_path / "20200101-000001_class_conditional" / "checkpoints")
    assert trained.load_run("", str(tmp_path)).run.experiment == "unconditional"
    vocoder = {"schema": VocoderConfig, "build": recipe.build_model}
    assert trained.load_run(None, str(tmp_path), **vocoder).run.experiment == "vocoder"
    with pytest.raises(ValueError, match=r"takes a run of train_vocoder\.py"):
        trained.load_run("unconditional", str(tmp_path), **vocoder)
    with pytest.raises(ValueError, match=r"vocoder was trained by train_vocoder\.py"):
        trained.load_run("vocoder", str(tmp_path))


class TestConfigs:
    @pytest.fixture
    def files(self, project_root):
        return sorted((project_root / "examples" / "configs").glob("*.ini"))

    def test_they_are_as_large_as_they_say(self, files, recipe):
        assert len(files) == 4
        for file in files:
            config = load_config(recipe.Config, file)
            with torch.device("meta"):
                model = recipe.build_model(config)
            stated = re.search(r"([\d,]+) parameters", file.read_text("utf-8"))[1]
            assert f"{sum(p.numel() for p in model.parameters()):,}" == stated, file.name

    def test_the_smallest_trains(self, run_many, project_root, tmp_path):
        config = project_root / "examples" / "configs" / "small_test.ini"
        arguments = ["--config", str(config), "train.max_steps=3", "train.validation_items=1",
                     "sample.num=1", "train.device=cpu"]  # fmt: skip
        case = {"name": "small", "script": "train_unconditional.py", "arguments": arguments}
        answer = run_many([{**case, "cwd": str(tmp_path)}])["small"]
        assert answer["code"] == 0, answer["err"]
        assert "model: 2,451,452 parameters" in answer["out"]
        (folder,) = (tmp_path / "runs").iterdir()
        sound, rate = soundfile.read(folder / "samples" / "step_000003_sample_0.wav")
        assert sound.shape == (16384, 2) and rate == 16000
