"""A recipe under train.overfit: does the network learn anything at all?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def answers(run_many, small, recordings, tmp_path_factory):
    """A recipe that passes, and one whose learning rate is far too low."""
    common = [
        *small, f"data.path={recordings}", "train.overfit=2", "train.precision=fp32",
        "train.sample_every=0",
    ]  # fmt: skip
    asked = {
        "passes": ["train.max_steps=250", "train.learning_rate=1e-2"],
        "fails": ["train.max_steps=20", "train.learning_rate=1e-6"],
    }
    work = tmp_path_factory.mktemp("overfit")
    return run_many(
        [
            {"name": name, "script": "train_unconditional.py", "arguments": [*common, *words],
             "cwd": str(work / name)}
            for name, words in asked.items()
        ]
    )  # fmt: skip


def summary_of(answer) -> dict:
    assert answer["code"] == 0, answer["err"]
    folder = Path(answer["out"].splitlines()[-1].removeprefix("run: "))
    return json.loads((folder / "summary.json").read_text("utf-8"))


def test_the_recipe_passes(answers):
    out = answers["passes"]["out"]
    assert summary_of(answers["passes"])["metrics"]["knows its clips by heart"] == "yes"
    assert "train.overfit=2: the first 2 clips alone, to train on and to judge by" in out
    assert "held back" not in out
    assert "\noverfit: passed: after 250 steps on 2 clips the error of the clean signal is " in out
    assert "on the first 2 of" in out and "The overfit test is passed: " in out


def test_the_recipe_fails_with_cause_and_remedy(answers):
    out = answers["fails"]["out"]
    assert summary_of(answers["fails"])["metrics"]["knows its clips by heart"] == "no"
    assert "overfit: not passed: after 20 steps on 2 clips " in out
    assert "the loss does not move at learning rate 1e-06" in out
    assert "; set train.learning_rate=0.0001" in out
