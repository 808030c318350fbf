"""Every script starts, explains itself, and every recipe stays short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [
    path
    for folder in ("examples", "tools", "benchmarks")
    for path in sorted((ROOT / folder).glob("[!_]*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]
RECIPES = [
    *sorted((ROOT / "examples").glob("train_*.py")),
    *(ROOT / "examples" / name for name in ("generate.py", "edit.py", "inpaint.py")),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_explains_the_script(script, tmp_path):
    result = subprocess.run(
        [sys.executable, str(script), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout.lower()
    assert list(tmp_path.iterdir()) == []  # asking for help writes nothing


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_recipes_are_thin(recipe):
    lines = recipe.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80, f"{recipe.name} has {len(lines)} lines: move what recipes share down"
