"""Sound files on disk for the data tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

WriteSound = Callable[..., Path]


@pytest.fixture
def write_sound(tmp_path: Path) -> WriteSound:
    """Write band-limited noise and return its path: `write_sound("a/b.flac", 16000, 0.5)`."""

    def write(
        name: str, rate: int = 16000, seconds: float = 0.5, channels: int = 1, seed: int = 0
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((round(rate * seconds), channels))
        smooth = np.apply_along_axis(np.convolve, 0, noise, np.hanning(9) / 4, "same")
        subtype = "FLOAT" if path.suffix == ".wav" else None
        soundfile.write(path, 0.2 * smooth.clip(-4, 4), rate, subtype=subtype)
        return path

    return write
