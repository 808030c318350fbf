"""Recipes that are judged beside a baseline: trained a little, resumed, told, and refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")

# script: (settings that make it small, what stands beside the original, the measure, refused words)
RECIPES = {
    "train_upsampler.py": (
        [],
        ["upsampler", "sinc interpolation"],
        {"model.factor=0": "upsample_factor must be at least 1"},
    ),
    "train_vocoder.py": (
        ["model.mels=20", "model.frame=256", "model.hop=64"],
        ["vocoder", "Griffin-Lim"],
        {"model.hop=65": "multiple of"},
    ),
    "train_diffusion_ae.py": (
        ["model.latent_hop=64"],
        ["autoencoder", "linear code"],
        {"model.latent_hop=65": "multiple"},
    ),
    "train_autoregressive.py": (
        ["model.num_splits=4"],
        ["model", "linear prediction"],
        {"model.num_splits=0": "num_splits"},
    ),
    "train_text_conditional.py": (
        ["text.features=16", "model.cross_attentions=1,1"],
        ["its caption", "another caption"],
        {"data.labels=none": "data.labels"},
    ),
}

LOADED = {
    "train_upsampler.py": ("sound_to_sound", "UpsamplerConfig", "build_upsampler"),
    "train_vocoder.py": ("sound_to_sound", "VocoderConfig", "build_vocoder"),
    "train_diffusion_ae.py": ("codes_and_parts", "CodeConfig", "build_autoencoder"),
    "train_autoregressive.py": ("codes_and_parts", "PartsConfig", "build_autoregressive"),
    "train_text_conditional.py": ("captions", "CaptionedConfig", "build_captioned"),
}


@pytest.fixture(scope="module", params=RECIPES)
def script(request):
    """The recipe."""
    return request.param


@pytest.fixture(scope="module")
def answers(script, run_many, tmp_path_factory, small):
    """Its training, its resumption, what other scripts say to its run, and bad settings."""
    work = tmp_path_factory.mktemp(Path(script).stem)
    settings, _, refused = RECIPES[script]
    words = [*small, *settings, "train.validation_items=2", "train.precision=fp32"]
    asked = {bad: (script, [*words, "train.max_steps=3", bad]) for bad in refused}
    asked |= {
        "train": (script, [*words, "train.max_steps=4", "train.sample_every=3"]),
        "resume": (script, ["--resume", "train.max_steps=6"]),
        "generate": ("generate.py", ["--out", "sounds"]),
        "another": ("train_unconditional.py", ["--resume", "train.max_steps=6"]),
    }
    return run_many(
        [
            {"name": name, "script": used, "arguments": arguments, "cwd": str(work)}
            for name, (used, arguments) in asked.items()
        ]
    )


def run_of(answer) -> Path:
    assert answer["code"] == 0, answer["err"]
    return Path(answer["out"].splitlines()[-1].removeprefix("run: "))


def test_the_end_tells_the_model_beside_its_baselines(answers, script):
    answer = answers["resume"]  # the last that wrote it
    folder = run_of(answer)
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    page = (folder / "report.html").read_text("utf-8")
    names = RECIPES[script][1]
    measure = next(
        name.rpartition(", ")[0] for name in summary["metrics"] if name.endswith(f", {names[0]}")
    )
    said = [*re.finditer(
        rf"{measure} over (\d+) held-back clips, lower is better: .*",
        answer["out"], re.IGNORECASE,
    )]  # fmt: skip
    assert 16 <= int(said[-1][1]) <= 64  # more than were heard on the way
    for name in names:
        found = [key for key in summary["metrics"] if key.startswith(f"{measure}, {name}")]
        assert len(found) == 1 and f"{summary['metrics'][found[0]]:.4g}" in said[-1][0]
        assert found[0] in answer["out"] and found[0] in page
    assert summary["config"]["recipe"] == Path(script).stem.removeprefix("train_")
    assert yaml.safe_load((folder / "config.yaml").read_text("utf-8")) == summary["config"]


def test_clips_are_heard_and_seen_side_by_side(answers, script):
    folder = run_of(answers["train"])
    page = (folder / "report.html").read_text("utf-8")
    names = RECIPES[script][1]
    for step in (3, 4):
        pictures = [*folder.glob(f"samples/step_{step:06d}_comparison.png")]
        assert len(pictures) == 1 and pictures[0].stat().st_size > 10000
    (original,) = folder.glob("samples/step_000004_clip_0_original.wav")
    sounds = [*folder.glob("samples/step_000004_clip_0_*.wav")]
    assert len(sounds) > len(names)
    shapes = {soundfile.info(sound).frames for sound in sounds}
    assert shapes == {soundfile.info(original).frames}
    clips = len([*folder.glob("samples/step_000004_clip_*_original.wav")])
    assert page.count("<audio controls") == clips * len(sounds)
    assert "http" not in re.sub(r'"http://www\.w3\.org/[^"]*"|http-equiv', "", page)


def test_it_goes_on(answers):
    answer = answers["resume"]
    assert run_of(answer) == run_of(answers["train"])
    assert "trained 6 steps" in answer["out"]


def test_other_scripts_name_it(answers, script):
    told = answers["generate"]["err"]
    assert f"was trained by {script}" in told and told.count("\n") == 1
    told = answers["another"]["err"]
    assert "which another recipe made" in told and told.count("\n") == 1


def test_its_run_can_be_loaded(answers, script, trained, import_example):
    folder = run_of(answers["train"])
    file, schema, build = LOADED[script]
    module = import_example(file)
    run = trained.load_run(
        None,
        str(folder.parent),
        "cpu",
        schema=getattr(module, schema),
        build=getattr(module, build),
    )
    assert run.run.directory == folder and not run.model.training
    saved = load_file(folder / "checkpoints" / "last.safetensors")
    weights = run.model.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in saved.items())


def test_bad_settings_are_one_line_and_leave_no_run(answers, script):
    good = run_of(answers["train"])
    for bad, words in RECIPES[script][2].items():
        answer = answers[bad]
        assert answer["code"] == 1 and words in answer["err"], answer
        assert answer["err"].startswith("error: ") and answer["err"].count("\n") == 1
        assert "run: " not in answer["out"]
    assert [*good.parent.iterdir()] == [good]
