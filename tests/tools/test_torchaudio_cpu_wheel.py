"""The repacked wheel is a valid pure Python wheel of the same files, without native libraries."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "torchaudio_cpu_wheel.py"
    spec = importlib.util.spec_from_file_location("torchaudio_cpu_wheel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def published(tmp_path) -> Path:
    """A wheel laid out like the published one."""
    path = tmp_path / "torchaudio-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    info = "torchaudio-2.11.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("torchaudio/__init__.py", "x = 1\n")
        wheel.writestr("torchaudio/lib/_torchaudio.so", b"native")
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.4\nName: torchaudio\nVersion: 2.11.0\n\nVersion: a body line\n",
        )
        tag = "Tag: cp311-cp311-manylinux_2_28_x86_64\n"
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tag}\n")
        wheel.writestr(f"{info}/RECORD", "stale,,\n")
    return path


def test_repacked_wheel(tool, published, tmp_path):
    target = tool.repack(published, tmp_path / "out")
    assert target.name == "torchaudio-2.11.0+cpu.nonative-py3-none-any.whl"
    info = "torchaudio-2.11.0+cpu.nonative.dist-info"
    with zipfile.ZipFile(target) as wheel:
        contents = {name: wheel.read(name) for name in wheel.namelist()}
    assert set(contents) == {
        "torchaudio/__init__.py",
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/RECORD",
    }
    assert b"\nVersion: 2.11.0+cpu.nonative\n" in contents[f"{info}/METADATA"]
    assert contents[f"{info}/METADATA"].endswith(b"\nVersion: a body line\n")
    wheel_lines = contents[f"{info}/WHEEL"].decode().splitlines()
    assert "Root-Is-Purelib: true" in wheel_lines
    assert [line for line in wheel_lines if line.startswith("Tag")] == ["Tag: py3-none-any"]
    recorded = dict(
        line.split(",", 1) for line in contents.pop(f"{info}/RECORD").decode().splitlines()
    )
    assert recorded.pop(f"{info}/RECORD") == ","
    assert set(recorded) == set(contents)
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert recorded[name] == f"sha256={digest},{len(data)}"


def test_other_wheels_are_refused(tool, tmp_path):
    with pytest.raises(ValueError, match="wanted a torchaudio wheel, got numpy"):
        tool.repack(Path("numpy-2.0.0-py3-none-any.whl"), tmp_path)
