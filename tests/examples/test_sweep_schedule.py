"""The sweep of schedules prints the floors that users ran into, and refuses what it cannot do."""

from __future__ import annotations

import re
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")

LINEAR = ["--schedule", "linear", "--betas", "1e-4", "0.05"]
GOOD = {
    "steps": [*LINEAR, "--steps", "50", "500", "1000", "2000", "--first-step", "2"],
    "quiet": [*LINEAR, "--std", "0.2", "0.25"],
    "slow": ["--betas", "1e-5", "0.005", "--first-step", "2"],
    "fast": ["--betas", "0.0015", "0.0195", "--first-step", "2"],
    "cosine": ["--schedule", "cosine", "linear", "--std", "0.2"],
    "targets": ["--schedule", "half-circle", "--target", "eps", "x0", "v", "flow", "previous"],
    "all": [
        "--schedule", "linear", "scaled-linear", "cosine", "half-circle", "straight", "vp",
        "sigmoid", "laplace", "exploding", "--target", "x_{t-1}", "v", "--steps", "1", "20",
    ],
    "zero": ["--zero-terminal-snr", "--shift", "-2", "--sampling-steps", "10"],
}  # fmt: skip
BAD = {
    "betas of cosine": (["--schedule", "cosine", "--betas", "0.1", "0.2"], "--betas belongs to"),
    "rescaled circle": (["--schedule", "half-circle", "--zero-terminal-snr"], "has none"),
    "no steps": (["--steps", "0"], "at least 1"),
    "late start": (["--steps", "10", "--first-step", "11"], r"1\.\.10"),
    "silent": (["--std", "0"], "--std must be above 0"),
    "wild betas": (["--betas", "0.1", "3"], r"betas must lie above 0 and below 1"),
    "no folder": (["--data", "nowhere"], "--data nowhere: there is no such folder"),
    "no schedule": (["--schedule", "bent"], "invalid choice: 'bent'"),
}


@pytest.fixture(scope="module")
def results(run_many, tmp_path_factory, piano_folder):
    cwd = str(tmp_path_factory.mktemp("sweep"))
    cases = {**GOOD, **{name: words for name, (words, _) in BAD.items()}}
    cases["data"] = ["--target", "eps", "v", "--data", str(piano_folder), "--schedule", "straight"]
    cases["scaled"] = [*cases["data"], "--std", "1"]
    return run_many(
        [
            {
                "name": name,
                "script": "sweep_schedule.py",
                "arguments": words,
                "cwd": f"{cwd}/{name}",
            }
            for name, words in cases.items()
        ]
    )


def floors(result) -> list[tuple[str, list[float]]]:
    """(target, figures) of each row of the tables."""
    assert result["code"] == 0, result["err"]
    rows = re.findall(r"^  (eps|x0|v|flow|x_\{t-1\})((?: +[\d.e+-]+)+)$", result["out"], re.M)
    return [(target, [float(word) for word in words.split()]) for target, words in rows]


def column(result, index) -> list[float]:
    return [round(figures[index], 3) for _, figures in floors(result)]


def test_floors_of_users_are_reproduced(results):
    """L1 of the noise predictor that knows the loudness alone; columns: std, zero, loudness."""
    assert column(results["steps"], 3) == pytest.approx([0.651, 0.279, 0.197, 0.139], abs=6e-4)
    assert column(results["quiet"], 3) == pytest.approx([0.083, 0.095], abs=6e-4)
    assert column(results["slow"], 3) == pytest.approx([0.559], abs=6e-4)
    assert column(results["fast"], 3) == pytest.approx([0.274], abs=6e-4)
    assert column(results["cosine"], 4) == pytest.approx([0.160, 0.081], abs=6e-4)  # MSE
    assert column(results["steps"], 1) == pytest.approx([0.798] * 4, abs=6e-4)
    assert column(results["steps"], 2) == [1.0] * 4
    assert "grows 197.3 times" in results["fast"]["out"]


def test_every_target_has_its_row(results):
    rows = dict(floors(results["targets"]))
    assert list(rows) == ["eps", "x0", "v", "flow", "x_{t-1}"]
    assert rows["v"] == pytest.approx([1, 0.7979, 1, 0.7979, 1], abs=1e-4)
    assert rows["eps"][4] == pytest.approx(0.5, abs=1e-3)
    assert rows["flow"][2] == 2
    assert rows["x_{t-1}"][4] < 0.02  # next to nothing is hidden by one step


def test_every_schedule_runs(results):
    assert len(floors(results["all"])) == 9 * 2 * 2
    assert "nan" not in results["all"]["out"]


def test_levels_are_told(results):
    assert "terminal SNR -43.9 dB" in results["cosine"]["out"]
    assert "terminal SNR -inf dB" in results["zero"]["out"]
    assert "grows without bound" in results["zero"]["out"]
    assert "10 sampling steps start at -inf, " in results["zero"]["out"]


def test_recordings_give_the_floor_of_their_spectrum(results):
    """The best linear denoiser gains on notes; its error falls below the one for white noise."""
    for name, std in (("data", 0.0634), ("scaled", 1.0)):
        rows = dict(floors(results[name]))
        for figures in rows.values():
            assert figures[0] == pytest.approx(std, abs=5e-4)
            assert figures[6] < 0.7 * figures[4] < figures[2]
        assert "standard deviation 0.0634" in results[name]["out"]


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_told_in_one_line(results, name):
    result = results[name]
    assert result["code"] == 1
    assert re.fullmatch(rf"error: [^\n]*{BAD[name][1]}[^\n]*\n", result["err"]), result["err"]
