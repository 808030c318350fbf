"""A recipe whose numbers overflow names the module under train.debug_numerics, else says how."""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")


@pytest.fixture(scope="module")
def answers(run_many, recordings, small, tmp_path_factory):
    work = tmp_path_factory.mktemp("numerics")
    words = [
        f"data.path={recordings}", *small, "train.max_steps=9", "train.log_every=1",
        "train.precision=fp32", "train.validation_items=0",
    ]  # fmt: skip
    mad = [*words, "train.learning_rate=1e30", "train.warmup_steps=0"]
    cases = {
        "off": mad,
        "on": [*mad, "train.debug_numerics=true"],
        "fine": [*words, "train.debug_numerics=true"],
    }
    done = run_many(
        [
            {
                "name": name,
                "script": "train_unconditional.py",
                "arguments": [*arguments, "--experiment", name],
                "cwd": str(work),
            }
            for name, arguments in cases.items()
        ]
    )
    return work, done


def test_without_the_error_says_how_to_be_told(answers):
    error = answers[1]["off"]["err"]
    assert answers[1]["off"]["code"] == 1 and error.startswith("error: the ")
    assert "set train.debug_numerics=true to be told the module" in error
    assert " made them" not in error


def test_with_it_the_module_is_named_in_one_line(answers):
    case = answers[1]["on"]
    error = case["err"]
    assert case["code"] == 1 and error.startswith("error: the ") and error.count("\n") == 1
    assert " made them: " in error and "look into net." in error
    assert "the largest numbers that modules said:" in case["out"]
    assert "  net.levels.0" in case["out"]


def test_a_run_with_nothing_wrong_logs_the_health_of_its_blocks(answers):
    work, done = answers
    assert done["fine"]["code"] == 0, done["fine"]
    curves = next(work.glob("runs/*_fine")) / "logs" / "scalars.jsonl"
    rows = [json.loads(line) for line in curves.read_text("utf-8").splitlines()]
    health = [row for row in rows if any(name.startswith("health/") for name in row)]
    assert [row["step"] for row in health] == list(range(1, 10))
    assert {"health/net.levels.0.down/std", "health/net.time_embedding/max"} <= set(health[0])
