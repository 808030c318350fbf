"""inspect_model.py tells of runs, saved models and settings what their tensors say themselves."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from audio_diffusion_pytorch import UNetV0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")
HEALTHY = Path(__file__).resolve().parents[1] / "diagnostics" / "healthy"
TINY = ["model.bins=16", "model.channels=16,16", "model.modulation_features=16", "data.length=1024"]


@pytest.fixture(scope="module")
def answers(first, run_many, recordings, tmp_path_factory):
    work = tmp_path_factory.mktemp("inspect")
    net = UNetV0(
        dim=1, in_channels=2, channels=[8, 8], factors=[1, 2], items=[1, 1], modulation_features=8
    )
    net.save_pretrained(work / "net")
    cases = {
        "run": ["--run", str(first.folder), "--depth", "3"],
        "saved": ["--pretrained", str(HEALTHY / "piano"), "--length", "4096", "--depth", "0"],
        "net": ["--pretrained", "net", "--length", "512"],
        "labels": ["--recipe", "class_conditional", *TINY, "--length", "2000", "--depth", "1"],
        "parts": ["--recipe", "autoregressive", *TINY, "--depth", "1"],
        "text": ["--recipe", "text_conditional", *TINY, "--depth", "1"],
        "unknown recipe": ["--recipe", "piano"],
        "lost setting": ["model.bins=16"],
        "wrong setting": ["--recipe", "unconditional", "model.bin=16"],
        "both": ["--run", "a", "--recipe", "unconditional"],
        "no folder": ["--pretrained", "nowhere"],
        "no run": [],
        "length": ["--recipe", "unconditional", "--length", "0"],
        "no data": ["--recipe", "class_conditional", "data.path=gone"],
        "refused": ["--recipe", "autoregressive", *TINY, "--length", "77"],
    }
    done = run_many(
        [
            {"name": name, "script": "inspect_model.py", "arguments": words, "cwd": str(work)}
            for name, words in cases.items()
        ]
    )
    return done


def weights_of(case):
    assert case["code"] == 0, case
    counts = re.search(r"^weights: ([\d,]+) weights .* and ([\d,]+) numbers in", case["out"], re.M)
    table = re.search(r"^(?:Diffusion\w+|UNetV0) +[\dx]+ +([\d,]+) ", case["out"], re.M)
    weights, buffers, shown = (
        int(found.replace(",", "")) for found in (counts[1], counts[2], table[1])
    )
    assert shown == weights
    return weights + buffers


def test_counts_are_those_of_the_files(answers, first):
    for name, path in (
        ("run", first.folder / "checkpoints" / "last.safetensors"),
        ("saved", HEALTHY / "piano" / "model.safetensors"),
    ):
        tensors = load_file(path).values()
        assert weights_of(answers[name]) == sum(tensor.numel() for tensor in tensors)


def test_a_run_is_shown_with_its_parts_reach_lengths_and_cost(answers):
    out = answers["run"]["out"]
    assert out.startswith("DiffusionModel, one clip of 2,048 samples (128.0 ms)\n")
    assert "\n  net: UNetV0" in out and "\n    time_embedding: TimeEmbedding" in out
    assert re.search(
        r"receptive field of an output sample: [\d,]+ samples \([\d.]+ ms\): .* before it and", out
    )
    assert "x group norm (net.levels.0" in out and "lengths: any: it pads and crops" in out
    assert re.search(r"forward: [\d.]+ [kM] multiply-adds in [\d.]+ ms, [\d.]+ MiB beside", out)


def test_a_network_alone_and_models_that_are_told_something(answers):
    assert answers["net"]["out"].startswith("UNetV0, one clip of 512 samples\n")
    assert weights_of(answers["net"]) > 1000
    assert "one clip of 2,000 samples (125.0 ms)" in answers["labels"]["out"]
    assert "DiffusionAR" in answers["parts"]["out"]
    assert "lengths: multiples of 1024; of 1 samples it says: " in answers["parts"]["out"]
    assert weights_of(answers["text"]) > weights_of(answers["labels"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unknown recipe", "invalid choice: 'piano'"),
        ("lost setting", "model.bins=16 is a setting: it goes with --recipe"),
        ("wrong setting", "model.bin"),
        ("both", "not allowed with"),
        ("no folder", "nowhere"),
        ("no run", "runs"),
        ("length", "--length must be at least 1 sample, got 0"),
        ("no data", "gone"),
        ("refused", "trains on 1024 samples, got 77"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(answers, name, words):
    case = answers[name]
    assert case["code"] == 1 and case["out"] == "", case
    assert case["err"].startswith("error: ") and case["err"].count("\n") == 1
    assert words in case["err"]
