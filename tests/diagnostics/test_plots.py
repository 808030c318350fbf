"""Pictures of sounds: a tone is where it belongs, silence is black, nothing bends the axes."""

from __future__ import annotations

import io
import math
import sys

import numpy as np
import pytest
import torch

from audio_diffusion_pytorch.diagnostics.plots import (
    _COLOURS,
    FLOOR_DB,
    log_spectrogram,
    loss_curve_image,
    outline,
    png_bytes,
    save_spectrogram,
    spectrogram_image,
)


def tone(frequency, sample_rate=16000, seconds=1.0):
    time = torch.arange(int(seconds * sample_rate)) / sample_rate
    return torch.sin(2 * math.pi * frequency * time)[None]


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
@pytest.mark.parametrize("frequency", [220.0, 1000.0, 3500.0])
def test_a_tone_is_the_loudest_row_at_its_frequency(sample_rate, frequency):
    level, frequencies = log_spectrogram(tone(frequency, sample_rate), sample_rate)
    middle = level[:, level.shape[1] // 4 : 3 * level.shape[1] // 4].mean(1)
    found = float(frequencies[middle.argmax()])
    width = sample_rate / 2 ** max(8, round(math.log2(0.064 * sample_rate)))  # of one bin, Hz
    assert abs(found - frequency) < max(0.04 * frequency, width)
    # Further below there is nothing but the window's foot.
    assert (middle[frequencies < frequency - 8 * width] < -40).all()


def test_a_click_is_the_loudest_column_at_its_time():
    sound = torch.zeros(1, 16000)
    sound[0, 12000] = 1.0
    level, _ = log_spectrogram(sound, 16000)
    column = int(level.mean(0).argmax())
    assert abs(column / level.shape[1] - 0.75) < 0.03


def test_levels_do_not_depend_on_the_gain_and_silence_is_the_floor():
    sound = tone(440)
    quiet, _ = log_spectrogram(0.001 * sound, 16000)
    loud, _ = log_spectrogram(sound, 16000)
    assert torch.allclose(quiet, loud, atol=0.2)
    assert loud.max() == 0 and loud.min() >= FLOOR_DB
    silence, _ = log_spectrogram(torch.zeros(2, 1000), 16000)
    assert (silence == FLOOR_DB).all()


@pytest.mark.parametrize("samples", [1, 7, 255, 4096])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [2000, 48000])
def test_any_length_and_rate_gives_a_picture(samples, channels, sample_rate):
    sound = torch.randn(channels, samples)
    sound[0, 0] = math.nan
    image = spectrogram_image(sound, sample_rate, 40, 60)
    assert image.dtype == np.uint8 and image.shape[0] == 40 and image.shape[2] == 3
    assert 1 <= image.shape[1] <= 60


def test_high_frequencies_are_on_top_and_brighter_is_louder():
    low = spectrogram_image(tone(100), 16000).sum(-1).mean(1)
    high = spectrogram_image(tone(6000), 16000).sum(-1).mean(1)
    assert low.argmax() > 80 and high.argmax() < 20
    colours = torch.tensor(_COLOURS, dtype=torch.float32)
    lightness = (colours * torch.tensor([0.2126, 0.7152, 0.0722])).sum(1)
    assert (lightness.diff() > 0).all()


def test_what_is_not_one_sound_is_refused():
    for shape in ((2, 1, 100), (1, 0), (0, 5), ()):
        with pytest.raises(ValueError, match="expected one sound"):
            spectrogram_image(torch.zeros(shape), 8000)


def test_png_bytes_decode_to_the_same_pixels():
    matplotlib_image = pytest.importorskip("matplotlib.image")
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    decoded = matplotlib_image.imread(io.BytesIO(png_bytes(image)), format="png")
    assert np.array_equal((decoded * 255).round().astype(np.uint8), image)


def test_save_spectrogram_writes_a_png_and_leaves_the_users_backend(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    backend = matplotlib.get_backend()
    path = tmp_path / "Größe 1.png"
    save_spectrogram(path, 3 * tone(440, 8000, 0.5).repeat(2, 1), 8000, "Ton <440 & mehr> $a_b$")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [found.name for found in tmp_path.iterdir()] == ["Größe 1.png"]
    save_spectrogram(path, torch.zeros(1, 10), 8000)
    assert matplotlib.get_backend() == backend
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_loss_curve_image_shows_every_curve():
    pytest.importorskip("matplotlib")
    empty = loss_curve_image({})
    one = loss_curve_image({"a": ([1, 2, 3], [1.0, math.nan, 0.1])})
    assert one.dtype == np.uint8 and one.shape == empty.shape and one.shape[2] == 3
    two = loss_curve_image({"a": ([1, 2, 3], [1.0, 0.4, 0.1]), "b": ([1], [-1.0])}, log=True)
    assert (one != two).any() and (one != empty).any()


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "audio-diffusion-pytorch\[train\]"'):
        save_spectrogram(tmp_path / "a.png", torch.zeros(1, 10), 8000)
    assert spectrogram_image(torch.zeros(1, 10), 8000).shape[0] == 128  # needs no extra


def test_the_outline_holds_the_extremes():
    sound = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    low, high = outline(sound, 50)
    assert len(low) == len(high) == 50
    assert min(low) == float(sound.min()) and max(high) == float(sound.max())
    assert len(outline(torch.zeros(1, 3), 50)[0]) == 3


def test_comparison_shows_every_pair(tmp_path, piano_folder):
    """A column per title: the picture grows with them, and a row that is short is refused."""
    from audio_diffusion_pytorch.data import read_audio
    from audio_diffusion_pytorch.diagnostics import save_comparison

    notes = [read_audio(f)[0][:, :8000] for f in sorted(piano_folder.glob("06*_mf.flac"))[:3]]
    sizes = []
    for count in (1, 3):
        path = tmp_path / f"{count}.png"
        rows = {str(row): notes[:count] for row in range(count)}
        save_comparison(path, rows, 16000, ["note"] * count)
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        sizes.append((int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")))
    assert sizes[1][0] > 2 * sizes[0][0] and sizes[1][1] == 3 * sizes[0][1]
    with pytest.raises(ValueError, match="as many sounds"):
        rows = {"real": notes, "made": notes[:2]}
        save_comparison(tmp_path / "x.png", rows, 16000, ["a", "b", "c"])
