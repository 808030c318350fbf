from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audio_diffusion_pytorch.data import AudioFileError, audio_info, read_audio
from audio_diffusion_pytorch.data.audio_file import read_blocks

RATE = 44100


def write_m4a(path: Path, samples: np.ndarray, codec: str = "aac") -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        # Without noise substitution: its noise is drawn by the decoder, anew after each seek.
        options = {"aac_pns": "0"} if codec == "aac" else {}
        stream = container.add_stream(codec, rate=RATE, layout="stereo", options=options)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        sample_format = {"aac": "fltp", "alac": "s32p"}[codec]
        resampler = av.AudioResampler(format=sample_format, layout="stereo", rate=RATE)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def noise(seconds: float = 3.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((2, round(RATE * seconds)))).astype("f4")


def write_format(path: Path) -> Path:
    if path.suffix in (".m4a", ".aac"):
        write_m4a(path, noise())
    else:
        soundfile.write(path, noise().T, RATE)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.m4a", "a.aac"])
def test_segment_equals_slice_of_full_decode(tmp_path: Path, name: str) -> None:
    path = write_format(tmp_path / name)
    full, rate = read_audio(path)
    info = audio_info(path)
    assert rate == RATE and full.shape == (2, info.num_frames)
    assert full.dtype == torch.float32 and info.channels == 2
    for start, count in ((0, 500), (1, 4000), (30011, 20000), (info.num_frames - 999, 999)):
        segment, _ = read_audio(path, start, count)
        expected = full[:, start : start + count]
        assert segment.shape == expected.shape
        # The MP3 decoder rounds differently after a seek; one 16-bit step is 3e-5.
        assert (segment - expected).abs().max() <= (1e-6 if name == "a.mp3" else 0)
    blocks = [block for block, _ in read_blocks(path, 50000)]
    assert len(blocks) > 1 and torch.allclose(torch.cat(blocks, dim=1), full, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_seeks_are_exact_where_decoders_need_a_run_up(tmp_path: Path, name: str) -> None:
    # Bursts between silences: the last Ogg page is long, and MP3 frames borrow bits.
    samples = noise(12.0) * (np.arange(12 * RATE) % 100000 < 3000)
    soundfile.write(tmp_path / name, samples.T, RATE)
    full, _ = read_audio(tmp_path / name)
    for start in [*range(1000, full.shape[1], 33333), *range(300000, 304000, 300)]:
        segment, _ = read_audio(tmp_path / name, start, 2000)
        assert (segment - full[:, start : start + 2000]).abs().max() <= 1e-6


@pytest.mark.parametrize("name", ["a.flac", "a.m4a"])
def test_reads_end_where_the_file_ends(tmp_path: Path, name: str) -> None:
    path = write_format(tmp_path / name)
    frames = audio_info(path).num_frames
    assert frames == 3 * RATE
    assert read_audio(path, frames - 10, 100)[0].shape == (2, 10)
    assert read_audio(path, frames + 5, 100)[0].shape == (2, 0)


def test_lossless_formats_hold_the_samples_that_were_written(tmp_path: Path) -> None:
    samples = np.round(noise() * 2**15) / 2**15
    soundfile.write(tmp_path / "a.flac", samples.T, RATE)
    write_m4a(tmp_path / "a.m4a", samples.astype("f4"), codec="alac")
    for name in ("a.flac", "a.m4a"):
        assert torch.equal(read_audio(tmp_path / name)[0], torch.from_numpy(samples).float())


def test_m4a_is_in_time_with_the_sound_it_was_made_of(tmp_path: Path) -> None:
    path = write_format(tmp_path / "a.m4a")
    start, count = 60000, 8192
    decoded = read_audio(path, start, count)[0][0]
    original = torch.from_numpy(noise()[0])
    scores = [
        float(torch.dot(decoded, original[start + lag : start + lag + count]))
        for lag in range(-2000, 2001)
    ]
    assert int(np.argmax(scores)) - 2000 == 0


def test_a_wrongly_named_m4a_is_read_by_its_content(tmp_path: Path) -> None:
    path = write_format(tmp_path / "a.m4a").rename(tmp_path / "b.mp3")
    assert audio_info(path).num_frames == 3 * RATE
    assert read_audio(path, 100, 50)[0].shape == (2, 50)


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / "take 1.wav"
    if kind == "text":
        path.write_text("dear diary\n" * 50)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no samples":
        soundfile.write(path, np.zeros((0, 1)), RATE)
    elif kind == "nan":
        samples = noise().T.copy()
        samples[777, 1] = np.nan
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    elif kind == "cut wav":
        soundfile.write(path, noise().T, RATE)
        path.write_bytes(path.read_bytes()[:100000])
    else:
        path = folder / ("take.mp3" if "mp3" in kind else "take.flac")
        soundfile.write(path, noise().T, RATE)
        content = bytearray(path.read_bytes())
        if kind == "flipped flac":
            for place in range(len(content) // 2, len(content) // 2 + 200, 17):
                content[place] ^= 0x10
        else:
            content = content[: len(content) // 2]
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("text", "no sound in it although it is named .wav"),
        ("empty", "empty file"),
        ("no samples", "holds no samples"),
        ("nan", "holds 1 NaN or infinite samples"),
        ("cut wav", "cut short"),
        ("cut flac", "cut short"),
        ("flipped flac", "corrupt"),
        ("cut mp3", "cut short"),
    ],
)
def test_bad_files_are_named_with_fault_and_remedy(tmp_path: Path, kind: str, fault: str) -> None:
    path = bad_file(tmp_path, kind)
    with pytest.raises(AudioFileError) as caught:
        list(read_blocks(path))
    message = str(caught.value)
    assert str(path) in message and fault in message and "data.bad=skip" in message
    assert "\n" not in message and isinstance(caught.value, ValueError)


def test_wav_of_unknown_length_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    soundfile.write(path, noise().T, RATE)
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert audio_info(path).num_frames == 3 * RATE


def test_flac_of_unknown_length_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "piped.flac"
    soundfile.write(path, noise().T, RATE)
    full = read_audio(path)[0]
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that hold the number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert audio_info(path).num_frames == 3 * RATE
    assert torch.equal(read_audio(path)[0], full)
    assert torch.equal(read_audio(path, 1000, 50)[0], full[:, 1000:1050])


def test_missing_file_and_bad_range_are_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no sound file .*nothing\.wav"):
        read_audio(tmp_path / "nothing.wav")
    with pytest.raises(ValueError, match="at least 0"):
        read_audio(tmp_path / "nothing.wav", -1)


def test_missing_pyav_names_the_extra_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_format(tmp_path / "a.m4a")
    import audio_diffusion_pytorch.data.pyav as pyav

    def missing(name: str) -> None:
        raise ImportError(f"No module named {name}")

    monkeypatch.setattr(pyav, "import_module", missing)
    for call in (read_audio, audio_info):
        with pytest.raises(ImportError, match=r"a\.m4a needs PyAV.*audio-diffusion-pytorch\[m4a\]"):
            call(path)
