"""What the checks say of folders of recordings, read as they are."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from healthy_runs import PIANO
from torch import Tensor

from audio_diffusion_pytorch.data import AudioFolder, AudioInfo, read_recording
from audio_diffusion_pytorch.data.source import resample
from audio_diffusion_pytorch.diagnostics import (
    Finding,
    ScanLimits,
    check_bandwidth,
    check_channels,
    check_duplicates,
    check_lengths,
    check_readable,
    check_sample_rates,
    examine_data,
    measure_sound,
    same_sounds,
    scan_folder,
)
from audio_diffusion_pytorch.diagnostics.data_health.rates import real_rate
from audio_diffusion_pytorch.diagnostics.data_health.scan import spread

NOTES = sorted(PIANO.glob("*_ff.flac"))


def named(findings: list[Finding], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


def note(index: int, rate: int = 16000) -> Tensor:
    return read_recording(NOTES[index], rate, 1)


def write(path: Path, audio: Tensor, rate: int, subtype: str | None = None) -> Path:
    soundfile.write(path, audio.T.numpy(), rate, subtype=subtype)
    return path


def headers(*rates: int) -> dict[str, AudioInfo]:
    return {f"{i}.wav": AudioInfo(rate, 1, rate) for i, rate in enumerate(rates)}


def wideband(rate: int, seconds: float = 2.0, seed: int = 0) -> Tensor:
    """Noise that falls by 12 dB an octave, as music does, over the whole band."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft(torch.randn(1, round(rate * seconds), generator=generator))
    places = torch.arange(spectrum.shape[1]) / seconds
    audio = torch.fft.irfft(spectrum / (1 + (places / 300) ** 2))
    return 0.5 * audio / audio.abs().max()


def test_an_upsampled_file_is_named_with_the_rate_it_really_has(tmp_path):
    for index in range(5):
        write(tmp_path / f"good{index}.wav", wideband(44100, seed=index), 44100)
    low = resample(note(3, 8000), 8000, 44100)
    write(tmp_path / "low.wav", low, 44100)
    found = named(examine_data(tmp_path), "bandwidth")
    assert found.verdict == "suspicious" and found.figures["upsampled files"] == 1
    assert found.figures["real rate of low.wav in Hz"] == 8000
    assert "low.wav" in found.remedy and "8000 Hz" in found.message
    # At 8 kHz nothing is missing.
    assert named(examine_data(tmp_path, sample_rate=8000), "bandwidth").verdict == "ok"


@pytest.mark.parametrize(
    "low, high", [(8000, 16000), (11025, 44100), (22050, 44100), (16000, 48000)]
)
def test_the_real_rate_of_real_notes(low: int, high: int):
    for index in (1, 9):
        sound = resample(wideband(low, seed=index), low, high)
        facts = measure_sound((sound * 32768).round() / 32768, high, "a")
        assert facts.edge == pytest.approx(low / 2, rel=0.06)
        assert real_rate(facts.edge) == low


def test_full_band_tones_and_silence_have_no_edge():
    tone = torch.sin(torch.arange(32000) * 0.3)[None]
    for audio in (wideband(16000), tone, torch.zeros(1, 32000), tone[:, :200]):
        facts = measure_sound(0.5 * audio, 16000)
        assert facts.edge is None
        assert check_bandwidth([facts]).verdict == "ok"


def test_a_file_is_as_wide_as_its_widest_stretch():
    low = measure_sound(resample(note(3, 8000), 8000, 16000), 16000, "a.wav")
    wide = measure_sound(wideband(16000), 16000, "a.wav", 64000)
    assert check_bandwidth([low]).verdict == "suspicious"
    assert check_bandwidth([low, wide]).verdict == "ok"


def test_sample_rates_that_differ_or_are_too_low():
    assert check_sample_rates(headers(44100, 44100)).verdict == "ok"
    assert check_sample_rates(headers(44100, 48000)).verdict == "suspicious"
    assert check_sample_rates(headers(44100, 48000), 16000).verdict == "ok"  # nothing is lost
    low = check_sample_rates(headers(8000, 8000), 16000)
    assert low.verdict == "suspicious" and low.figures["files below the wanted rate"] == 2
    assert "4000 Hz" in low.message and "data.sample_rate=8000" in low.remedy
    assert check_sample_rates({}).verdict == "ok"


def test_channels_that_differ_or_are_too_few():
    mono, stereo = AudioInfo(8000, 1, 8000), AudioInfo(8000, 2, 8000)
    assert check_channels({"a": mono, "b": mono}).verdict == "ok"
    assert check_channels({"a": mono, "b": stereo}).verdict == "suspicious"
    assert check_channels({"a": mono, "b": stereo}, 1).verdict == "ok"
    narrow = check_channels({"a": mono, "b": stereo}, 2)
    assert narrow.verdict == "suspicious" and "(a)" in narrow.remedy
    assert check_channels({}).verdict == "ok"


def test_files_that_cannot_be_read_are_named(tmp_path):
    write(tmp_path / "good.wav", note(0), 16000)
    (tmp_path / "text.wav").write_text("no sound")
    broken = note(1)
    broken[0, 9] = torch.nan
    write(tmp_path / "nan.wav", broken, 16000, "FLOAT")
    found = examine_data(tmp_path)
    readable, finite = named(found, "readable files"), named(found, "finite samples")
    assert readable.verdict == "suspicious" and "text.wav" in readable.remedy
    assert readable.figures["files that cannot be read"] == 1
    assert finite.verdict == "wrong" and "nan.wav" in finite.message
    assert finite.figures["samples that are NaN or infinite"] == 1


def test_a_data_set_tells_what_it_left_out(tmp_path):
    write(tmp_path / "good.wav", note(0), 16000)
    (tmp_path / "text.wav").write_text("no sound")
    found = examine_data(AudioFolder(tmp_path, 16000, 4096, bad="skip"))
    assert "2 of 2 files looked at" in named(found, "readable files").message
    assert named(found, "readable files").verdict == "suspicious"


def test_a_bad_file_of_a_data_set_that_refuses_is_found_all_the_same(tmp_path):
    write(tmp_path / "good.wav", note(0), 16000)
    broken = note(1)
    broken[0] = torch.nan
    write(tmp_path / "nan.wav", broken, 16000, "FLOAT")
    data = AudioFolder(tmp_path, 16000, 4096, check="header")
    assert named(examine_data(data), "finite samples").verdict == "wrong"


def test_only_bad_files_are_one_finding(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    (found,) = examine_data(tmp_path)
    assert found.check == "readable files" and found.verdict == "wrong"


def test_copies_are_counted(tmp_path):
    for index in range(5):
        write(tmp_path / f"{index}.wav", note(index), 16000)
    (tmp_path / "copy.wav").write_bytes((tmp_path / "2.wav").read_bytes())
    write(tmp_path / "quieter.wav", -0.3 * note(3), 16000)
    write(tmp_path / "later.wav", note(4)[:, 4000:], 16000)
    found = named(examine_data(tmp_path), "duplicates")
    assert found.verdict == "suspicious"
    assert found.figures["exact copies"] == 1
    assert found.figures["copies at another gain or offset"] == 2
    assert found.figures["distinct sounds"] == 5
    assert "copy.wav" in found.remedy or "quieter.wav" in found.remedy or "4.wav" in found.remedy


def test_copies_are_found_among_files_that_were_not_heard(tmp_path):
    for index in range(40):
        write(tmp_path / f"{index:02}.wav", wideband(8000, 0.1, seed=index // 2), 8000)
    scan = scan_folder(tmp_path, limits=ScanLimits(stretches=4))
    found = check_duplicates(scan.sounds, scan.fingerprints)
    assert scan.heard_files == 4
    assert found.figures["exact copies"] == 20


def test_same_sounds_at_another_gain_polarity_and_offset():
    one, other = note(5)[:, :24000], note(6)[:, :24000]
    sounds = [one, other, 0.1 * one, -one, note(5)[:, 3000:27000], torch.zeros(1, 24000)]
    facts = [measure_sound(audio, 16000, f"{i}.wav") for i, audio in enumerate(sounds)]
    pairs = same_sounds(facts)
    assert {0, 2, 3, 4} == {index for pair in pairs for index in pair}
    assert (0, 2) in pairs and (0, 3) in pairs and (0, 4) in pairs


def test_stretches_of_one_file_are_no_copies():
    facts = [measure_sound(note(5)[:, start:], 16000, "a.wav@0", start) for start in (0, 3000)]
    assert same_sounds(facts) == []
    assert check_duplicates(facts).figures["distinct sounds"] == 1


def test_two_recordings_of_one_note_are_two():
    loud, soft = (
        measure_sound(read_recording(PIANO / f"060_C4_{how}.flac", 16000, 1), 16000, how)
        for how in ("ff", "mf")
    )
    assert same_sounds([loud, soft]) == []


def test_short_files_cost_padding_or_are_left_out():
    # Ten files of half a clip and ten of two clips: 5 of 30 clips' lengths are zeros.
    seconds = [0.5] * 10 + [2.0] * 10
    padded = check_lengths(seconds, 1.0)
    assert padded.figures["share of padding"] == pytest.approx(5 / 30)
    assert padded.verdict == "suspicious"
    skipped = check_lengths(seconds, 1.0, "skip")
    assert skipped.verdict == "suspicious" and "10 of 20 files" in skipped.message
    assert check_lengths(seconds).verdict == check_lengths([]).verdict == "ok"
    assert check_lengths([0.2] * 9, 1.0).verdict == "wrong"
    assert check_lengths([0.99999] * 9, 1.0).figures["files shorter than a clip"] == 0


def test_lengths_are_said_as_they_are():
    assert check_lengths([2.0] * 5).message == "all files of 2 s"
    assert check_lengths([1.0, 2.0, 2.0]).message == "files of 1 to 2 s, most of them 2 s"
    assert check_lengths([1.0, 2.0, 4.0]).message == "files of 1 to 4 s, half of them over 2 s"


def test_what_is_no_sound_is_no_clip(tmp_path):
    write(tmp_path / "one.wav", note(0)[:, :16000], 16000)
    (tmp_path / "two.wav").write_text("no sound")
    found = named(examine_data(tmp_path), "distinct clips")
    assert found.figures["clips"] == found.figures["distinct clips"] == 1


def test_the_histogram_counts_every_file():
    (curve,) = check_lengths([0.5] * 3 + [2.0] * 4, 1.0).curves
    places, counts = curve.lines["files"]
    assert sum(counts) / 2 == 7 and len(places) == len(counts)  # two points a bar


def test_a_look_is_bounded_and_says_how_far_it_went(tmp_path):
    for index in range(30):
        write(tmp_path / f"{index:02}.wav", wideband(8000, 1.0, seed=index), 8000)
    limits = ScanLimits(headers=20, stretches=10, stretch_seconds=0.5)
    scan = scan_folder(tmp_path, limits=limits)
    assert (scan.num_files, len(scan.headers), scan.heard_files) == (30, 20, 10)
    assert scan.heard_seconds == pytest.approx(5.0)
    message = check_readable(scan).message
    assert "20 of 30 files looked at" in message and "5 s out of 10 of them heard" in message
    hasty = scan_folder(tmp_path, limits=ScanLimits(seconds=0.0))
    assert (
        hasty.stopped and check_readable(hasty).figures["stopped because the time was up"] == "yes"
    )


def test_few_long_files_are_heard_at_several_places(tmp_path):
    write(tmp_path / "long.wav", wideband(8000, 60.0), 8000)
    scan = scan_folder(tmp_path, limits=ScanLimits(stretches=6))
    starts = [sound.start for sound in scan.sounds]
    assert len(starts) == 6 and starts == sorted(starts)
    assert np.diff(starts).min() >= 4 * 8000  # they do not overlap


def test_spread_takes_one_of_each_part_in_order():
    chosen = spread(range(1000), 10)
    assert [entry // 100 for entry in chosen] == list(range(10))
    assert spread(range(3), 10) == [0, 1, 2]
    periodic = [index % 6 for index in range(600)]
    assert len(set(spread(periodic, 100))) == 6


def test_one_short_file_is_one_clip(tmp_path):
    write(tmp_path / "one.wav", note(0)[:, :16000], 16000)
    found = named(examine_data(tmp_path), "distinct clips")
    assert found.verdict == "wrong" and found.figures["distinct clips"] == 1
    many = examine_data(tmp_path, sample_rate=16000, length=800)
    assert named(many, "distinct clips").verdict == "ok"


def test_stereo_files_are_examined_as_stereo(tmp_path):
    for index in range(3):
        sound = note(index)
        write(tmp_path / f"{index}.wav", torch.cat([sound, -sound]), 16000)
    mono = examine_data(tmp_path, sample_rate=16000, channels=1)
    assert named(mono, "polarity").verdict == "wrong"
    assert named(mono, "channels").verdict == "ok"


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        examine_data(tmp_path / "nowhere")


def test_the_piano_is_examined_in_a_few_seconds():
    started = time.perf_counter()
    examine_data(PIANO)
    assert time.perf_counter() - started < 20
