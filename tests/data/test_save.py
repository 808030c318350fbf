from __future__ import annotations

import logging
from pathlib import Path

import pytest
import soundfile
import torch

from audio_diffusion_pytorch.data import loudness, read_audio, save_audio

RATE = 16000


def sound(peak: float = 0.5, channels: int = 2) -> torch.Tensor:
    audio = torch.randn(channels, RATE)
    return audio * (peak / audio.abs().max())


def test_float_comes_back_bit_for_bit(tmp_path: Path) -> None:
    audio = sound(peak=3.0)
    report = save_audio(tmp_path / "a.wav", audio, RATE, "FLOAT")
    back, rate = read_audio(tmp_path / "a.wav")
    assert torch.equal(back, audio) and rate == RATE
    assert report.gain_db == 0 and report.over_full_scale == 0


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24)])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_pcm_comes_back_to_half_a_step(
    tmp_path: Path, subtype: str, bits: int, suffix: str
) -> None:
    audio = sound(peak=0.9)
    path = tmp_path / f"a{suffix}"
    save_audio(path, audio, RATE, subtype)
    assert soundfile.info(path).subtype == subtype
    back, _ = read_audio(path)
    assert (back - audio).abs().max() <= 0.5 / 2 ** (bits - 1) + 1e-7
    save_audio(path, back, RATE, subtype)
    assert torch.equal(read_audio(path)[0], back)


def test_samples_over_full_scale_are_counted_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audio = sound(peak=0.5)
    audio[0, :3] = torch.tensor([2.0, -1.5, 1.1])
    with caplog.at_level(logging.WARNING):
        report = save_audio(tmp_path / "a.wav", audio, RATE)
    assert report.over_full_scale == 3
    assert report.over_db == pytest.approx(6.02, abs=0.01)
    assert len(caplog.records) == 1 and "3 samples over full scale" in caplog.text
    back, _ = read_audio(tmp_path / "a.wav")
    assert back[0, 0] == pytest.approx(1.0, abs=1e-4) and back[0, 1] == -1
    assert (back[:, 3:] - audio[:, 3:]).abs().max() < 2e-5  # the rest is untouched


def test_gains_only_when_asked_and_told(tmp_path: Path) -> None:
    audio = sound(peak=0.25)
    peaked = save_audio(tmp_path / "a.wav", audio, RATE, "FLOAT", peak_db=-6.0)
    assert peaked.gain_db == pytest.approx(6.04, abs=0.01)
    assert read_audio(tmp_path / "a.wav")[0].abs().max() == pytest.approx(0.5012, abs=1e-4)
    loud = save_audio(tmp_path / "b.wav", audio, RATE, "FLOAT", loudness_lufs=-20.0)
    assert loudness(read_audio(tmp_path / "b.wav")[0], RATE) == pytest.approx(-20, abs=0.01)
    assert f"{loud.gain_db:+.1f} dB as asked" in loud.text()


def test_limiter_holds_the_ceiling_and_leaves_the_rest(tmp_path: Path) -> None:
    audio = sound(peak=0.3)
    audio[0, 8000] = 4.0
    report = save_audio(tmp_path / "a.wav", audio, RATE, "FLOAT", limiter=True)
    back, _ = read_audio(tmp_path / "a.wav")
    assert back.abs().max() <= 10 ** (-0.1 / 20) + 1e-6
    assert report.limited_db == pytest.approx(12.1, abs=0.1)
    assert torch.equal(back[:, :7500], audio[:, :7500])
    untouched = save_audio(tmp_path / "b.wav", sound(peak=0.3), RATE, limiter=True)
    assert untouched.limited_db == 0


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    nan = sound()
    nan[0, 0] = float("nan")
    for path, audio, subtype in (
        ("a.wav", nan, "FLOAT"),
        ("a.mp3", sound(), "PCM_16"),
        ("a.flac", sound(), "FLOAT"),
        ("a.wav", sound()[0], "PCM_16"),
    ):
        with pytest.raises(ValueError, match=path) as caught:
            save_audio(tmp_path / path, audio, RATE, subtype)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    save_audio(path, sound(), RATE)
    earlier = path.read_bytes()

    def full_disk(file: str, *_: object, **__: object) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile, "write", full_disk)
    with pytest.raises(OSError, match=r"cannot write .*a\.wav .*No space left"):
        save_audio(path, sound(), RATE)
    assert path.read_bytes() == earlier
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]
