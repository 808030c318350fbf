from __future__ import annotations

import copy
import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audio_diffusion_pytorch.data import (
    AudioFileError,
    AudioFolder,
    LabelTable,
    audio_info,
    read_audio,
    split_files,
)
from audio_diffusion_pytorch.data.source import open_source, resample, resampled_frames

WriteSound = Callable[..., Path]
NOTES = r"(?P<note>\d{3})_.*_(?P<velocity>pp|mp|mf|ff)"


def starts(dataset: AudioFolder, epoch: int = 0) -> list[tuple[str, int]]:
    names = (dataset[epoch, index].name.rsplit("@", 1) for index in range(len(dataset)))
    return [(name, int(start)) for name, start in names]


def db(difference: torch.Tensor, reference: torch.Tensor) -> float:
    return float(20 * torch.log10(difference.abs().max() / reference.abs().max() + 1e-12))


def test_clips_are_slices_of_the_files(tmp_path: Path, write_sound: WriteSound) -> None:
    path = write_sound("deep/er/über zwei.wav", 16000, 1.0, channels=2)
    full, _ = read_audio(path)
    for memory in (512, 0):
        dataset = AudioFolder(tmp_path, 16000, 3000, 2, memory_mb=memory)
        assert dataset.report.in_memory == bool(memory) and len(dataset) == 5
        for epoch in range(2):
            for index in range(5):
                clip = dataset[epoch, index]
                name, start = clip.name.rsplit("@", 1)
                assert name == "deep/er/über zwei.wav"
                expected = full[:, int(start) : int(start) + 3000]
                assert torch.equal(clip.audio, expected)  # no window, no fade, no gain
                assert clip.audio.dtype == torch.float32 and clip.labels.shape == (0,)


def test_editing_a_clip_does_not_harm_the_next(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("a.wav")
    dataset = AudioFolder(tmp_path, 16000, 1000)
    before = dataset[0].audio.clone()
    dataset[0].audio.zero_()
    assert torch.equal(dataset[0].audio, before)


def test_random_places_follow_seed_epoch_and_index_only(
    tmp_path: Path, write_sound: WriteSound
) -> None:
    for k in range(3):
        write_sound(f"{k}.wav", seconds=1.0 + k)
    dataset = AudioFolder(tmp_path, 16000, 4000)
    assert len(dataset) == 4 + 8 + 12  # long files count by their length
    assert starts(dataset, 1) == starts(AudioFolder(tmp_path, 16000, 4000, memory_mb=0), 1)
    assert starts(dataset, 1) != starts(dataset, 0)
    assert starts(dataset, 1) != starts(AudioFolder(tmp_path, 16000, 4000, seed=1), 1)
    assert dataset[3].name == dataset[0, 3].name
    for epoch in range(20):
        places = starts(dataset, epoch)
        assert len(set(places)) == len(places)
    assert dataset[-1].name == dataset[23].name
    with pytest.raises(IndexError):
        dataset[24]


def test_no_clip_stands_twice_in_an_epoch(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("a.wav", seconds=8000 / 16000)
    dataset = AudioFolder(tmp_path, 16000, 8)  # 1000 clips: free draws would nearly surely meet
    for epoch in range(2):
        places = starts(dataset, epoch)
        assert len(places) == 1000 == len(set(places))


def test_random_places_cover_the_file_evenly(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("a.wav", rate=8000, seconds=1.0)
    dataset = AudioFolder(tmp_path, 8000, 2000)
    places = [start for epoch in range(500) for _, start in starts(dataset, epoch)]
    counts = np.histogram(places, bins=6, range=(0, 6001))[0]
    assert len(places) == 2000 and min(places) >= 0 and max(places) <= 6000
    assert abs(counts - 2000 / 6).max() < 75  # about four standard deviations


def test_hop_is_honoured(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("a.wav", seconds=10000 / 16000)
    write_sound("b.wav", seconds=1999 / 16000)
    for hop in (500, 1000, 3000):
        dataset = AudioFolder(tmp_path, 16000, 2000, hop=hop)
        expected = [("a.wav", start) for start in range(0, 8001, hop)]
        assert starts(dataset) == [*expected, ("b.wav", 0)]
        assert starts(dataset, 7) == starts(dataset)


def test_crop_start_gives_each_files_beginning(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("a.wav", seconds=2.0)
    write_sound("b.wav", seconds=1.0)
    dataset = AudioFolder(tmp_path, 16000, 4000, crop="start")
    assert starts(dataset) == starts(dataset, 5) == [("a.wav", 0), ("b.wav", 0)]


@pytest.mark.parametrize("rates", [(44100, 16000), (16000, 44100), (48000, 22050)])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_resampled_stretch_equals_slice_of_resampled_whole(
    write_sound: WriteSound, rates: tuple[int, int], suffix: str
) -> None:
    path = write_sound(f"a{suffix}", rates[0], 3.0, channels=2)
    source = open_source(path, rates[1], 2)
    whole = resample(read_audio(path)[0], *rates)
    assert whole.shape[1] == source.num_frames
    assert db(source.read_all() - whole, whole) < -100
    for start, count in ((0, 4000), (777, 1), (20011, 8000), (source.num_frames - 500, 500)):
        part = source.read(start, count)
        assert part.shape == (2, count)
        assert db(part - whole[:, start : start + count], whole) < -80
    assert source.read(source.num_frames - 100, 500).shape == (2, 100)


def test_lengths_beyond_32_bits_are_exact() -> None:
    assert resampled_frames(2**41 * 441, 44100, 16000) == 2**41 * 160
    assert resampled_frames(3, 2, 1) == 2 and resampled_frames(44101, 44100, 16000) == 16000


def test_only_the_needed_stretch_is_read(
    tmp_path: Path, write_sound: WriteSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sound("a.wav", 44100, 20.0)
    dataset = AudioFolder(tmp_path, 16000, 4000, memory_mb=0, check="header")
    frames: list[int] = []
    original = soundfile.SoundFile.read

    def counting(self: soundfile.SoundFile, count: int = -1, **options: object) -> np.ndarray:
        frames.append(count)
        return original(self, count, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    dataset[5]
    assert 4000 * 44100 / 16000 < sum(frames) < 4000 * 44100 / 16000 + 5000


def test_channels_are_mixed_as_asked(tmp_path: Path, write_sound: WriteSound) -> None:
    stereo, _ = read_audio(write_sound("s/a.wav", channels=2))
    mono, _ = read_audio(write_sound("m/a.wav"))
    surround, _ = read_audio(write_sound("t/a.wav", channels=6))
    length = stereo.shape[1]

    def first(folder: str, channels: int) -> torch.Tensor:
        return AudioFolder(tmp_path / folder, 16000, length, channels)[0].audio

    assert torch.allclose(first("s", 1), stereo.mean(dim=0, keepdim=True))
    assert torch.equal(first("s", 2), stereo)
    assert torch.equal(first("m", 2), mono.expand(2, -1))
    assert torch.allclose(first("t", 2), surround.mean(dim=0, keepdim=True).expand(2, -1))


def test_short_files_are_padded_skipped_or_refused(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("long.wav", seconds=0.5)
    short, _ = read_audio(write_sound("short.wav", seconds=0.1))
    dataset = AudioFolder(tmp_path, 16000, 4000)
    audio = dataset[dataset.files.index("short.wav") + 1].audio
    assert torch.equal(audio[:, :1600], short) and not audio[:, 1600:].any()
    assert dataset.report.short_files == ["short.wav"]
    assert "padded with zeros at the end, shorter than a clip: 1 file" in dataset.report.text()
    skipping = AudioFolder(tmp_path, 16000, 4000, short="skip")
    assert skipping.files == ["long.wav"] and skipping.report.short_files == ["short.wav"]
    with pytest.raises(ValueError, match=r"length=4000: 1 file \(short\.wav\); set data\.short"):
        AudioFolder(tmp_path, 16000, 4000, short="refuse")
    with pytest.raises(ValueError, match="all 2 files are shorter"):
        AudioFolder(tmp_path, 16000, 40000, short="skip")


def test_levels_and_fades_only_when_asked(tmp_path: Path, write_sound: WriteSound) -> None:
    functional = pytest.importorskip("torchaudio.functional")
    write_sound("a.wav", 8000, 1.0)
    peaked = AudioFolder(tmp_path, 8000, 4000, normalize="peak")[0].audio
    assert peaked.abs().max() == pytest.approx(10 ** (-1 / 20), abs=1e-5)
    loud = AudioFolder(tmp_path, 8000, 4000, normalize="loudness")[0].audio
    assert float(functional.loudness(loud, 8000)) == pytest.approx(-23, abs=0.1)
    plain = AudioFolder(tmp_path, 8000, 4000)[0].audio
    faded = AudioFolder(tmp_path, 8000, 4000, fade=0.01)[0].audio
    assert faded[0, 0] == 0 and torch.equal(faded[:, 80:-80], plain[:, 80:-80])


def test_any_folder_of_recordings(tmp_path: Path, write_sound: WriteSound) -> None:
    root = tmp_path / "meine Aufnahmen ♪"
    base = root.name
    write_sound(f"{base}/a b.flac", 44100, channels=2)
    write_sound(f"{base}/sub/ß.mp3", 22050)
    write_sound(f"{base}/sub/x.ogg", 48000)
    write_sound(f"{base}/sub/y.wav", 8000, channels=3, seconds=1.5).rename(root / "Y.WAV")
    (root / "._a b.flac").write_bytes(b"\0\5\x16\7")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "a.wav").write_bytes(b"no")
    (root / "notes.txt").write_text("no")
    (root / "loop").symlink_to(root, target_is_directory=True)
    dataset = AudioFolder(root, 16000, 4000)
    assert dataset.files == ["Y.WAV", "a b.flac", "sub/x.ogg", "sub/ß.mp3"]
    assert {dataset[index].audio.shape for index in range(len(dataset))} == {(1, 4000)}
    report = dataset.report
    assert report.sample_rates == {8000: 1, 22050: 1, 44100: 1, 48000: 1}
    assert report.channels == {1: 2, 2: 1, 3: 1}
    assert report.hours * 3600 == pytest.approx(3.0, abs=0.1)
    assert "4 sound files, 3.0 s" in report.text() and "44100 Hz x 1" in report.text()


def test_audio_subfolder_is_found(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("set/audio/x/a.wav")
    write_sound("set/rendered/b.wav")
    assert AudioFolder(tmp_path / "set", 16000, 1000).files == ["x/a.wav"]
    shutil.rmtree(tmp_path / "set/audio/x")
    assert AudioFolder(tmp_path / "set", 16000, 1000).files == ["rendered/b.wav"]


def test_folders_without_sound_say_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no")
    for path, message in (
        (tmp_path, r"no sound file in .*\.wav \.flac .*data\.path"),
        (tmp_path / "nowhere", "does not exist; correct data.path"),
        (tmp_path / "notes.txt", "is a file, not a folder"),
    ):
        with pytest.raises(FileNotFoundError, match=message) as caught:
            AudioFolder(path, 16000, 1000)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def break_files(folder: Path, write_sound: WriteSound) -> None:
    write_sound("a good.wav", seconds=0.5)
    (folder / "text.wav").write_text("hello " * 99)
    (folder / "zero.flac").write_bytes(b"")
    soundfile.write(folder / "nan.wav", np.full((9000, 1), np.nan), 16000, subtype="FLOAT")
    flac = write_sound("cut.flac", seconds=2.0)
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])


def test_bad_files_are_refused_by_name(tmp_path: Path, write_sound: WriteSound) -> None:
    break_files(tmp_path, write_sound)
    with pytest.raises(AudioFileError, match=r"2 of 5 .*text\.wav: no sound.*data\.bad=skip"):
        AudioFolder(tmp_path, 16000, 1000)
    (tmp_path / "text.wav").unlink()
    (tmp_path / "zero.flac").unlink()
    with pytest.raises(AudioFileError, match=r"2 of 3 sound files .*cut\.flac: corrupt"):
        AudioFolder(tmp_path, 16000, 1000, check="full", memory_mb=0)
    (tmp_path / "cut.flac").unlink()
    with pytest.raises(AudioFileError, match=r"nan\.wav: holds 9000 NaN") as caught:
        AudioFolder(tmp_path, 16000, 1000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("memory", [512, 0])
def test_bad_files_are_skipped_when_asked_and_reported(
    tmp_path: Path, write_sound: WriteSound, memory: float
) -> None:
    break_files(tmp_path, write_sound)
    dataset = AudioFolder(tmp_path, 16000, 1000, bad="skip", memory_mb=memory)
    assert dataset.files == ["a good.wav"]
    assert sorted(n for n, _ in dataset.report.bad_files) == [
        "cut.flac", "nan.wav", "text.wav", "zero.flac",
    ]  # fmt: skip
    assert "zero.flac: empty file" in dataset.report.text()
    (tmp_path / "a good.wav").unlink()
    with pytest.raises(ValueError, match="all 4 sound files in"):
        AudioFolder(tmp_path, 16000, 1000, bad="skip", memory_mb=memory)


@pytest.mark.parametrize("memory", [512, 0])
def test_headers_only_finds_bad_sound_when_it_is_read(
    tmp_path: Path, write_sound: WriteSound, memory: float, caplog: pytest.LogCaptureFixture
) -> None:
    write_sound("b.wav", seconds=0.3)
    soundfile.write(tmp_path / "a.wav", np.full((9000, 1), np.nan), 16000, subtype="FLOAT")
    dataset = AudioFolder(tmp_path, 16000, 3000, check="header", memory_mb=memory)
    assert "only the headers" in dataset.report.text()
    with pytest.raises(AudioFileError, match=r"a\.wav: holds \d+ NaN"):
        dataset[0]
    dataset = AudioFolder(tmp_path, 16000, 3000, check="header", bad="skip", memory_mb=memory)
    with caplog.at_level(logging.WARNING):
        assert {dataset[index].name.split("@")[0] for index in range(3)} == {"b.wav"}
    assert len(caplog.records) == 1 and "a.wav: holds" in caplog.text
    (tmp_path / "b.wav").unlink()
    soundfile.write(tmp_path / "b.wav", np.full((9000, 1), np.inf), 16000, subtype="FLOAT")
    dataset = AudioFolder(tmp_path, 16000, 3000, check="header", bad="skip", memory_mb=memory)
    with pytest.raises(AudioFileError):
        dataset[0]


def test_silent_files_are_told(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("a.wav")
    wave = read_audio(tmp_path / "a.wav")[0].T.numpy()
    soundfile.write(tmp_path / "anti.wav", np.hstack([wave, -wave]), 16000)
    soundfile.write(tmp_path / "zero.wav", np.zeros((9000, 1)), 16000)
    for memory in (512, 0):
        report = AudioFolder(tmp_path, 16000, 1000, memory_mb=memory).report
        assert report.silent_files == ["anti.wav", "zero.wav"]
        assert "silent (never above -60 dBFS): 2 files" in report.text()


def test_cache_holds_converted_copies_once(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("set/a.mp3", 44100, 1.0, channels=2)
    write_sound("set/b.wav", 16000, 0.5)
    cache = tmp_path / "cache"
    dataset = AudioFolder(tmp_path / "set", 16000, 2000, cache=cache, memory_mb=0)
    copies = list(cache.iterdir())
    assert len(copies) == 1 and audio_info(copies[0]).sample_rate == 16000
    assert soundfile.info(copies[0]).subtype == "FLOAT"
    assert dataset.report.sample_rates == {44100: 1, 16000: 1}  # of the files, not of the copies
    plain = AudioFolder(tmp_path / "set", 16000, 2000, memory_mb=0)
    for index in range(len(plain)):
        assert dataset[index].name == plain[index].name
        assert db(dataset[index].audio - plain[index].audio, plain[index].audio) < -80
    made = copies[0].stat().st_mtime_ns
    AudioFolder(tmp_path / "set", 16000, 2000, cache=cache)
    assert copies[0].stat().st_mtime_ns == made and len(list(cache.iterdir())) == 1
    os.utime(tmp_path / "set/a.mp3", ns=(1, 1))
    AudioFolder(tmp_path / "set", 16000, 2000, cache=cache)
    assert len(list(cache.iterdir())) == 2


def test_files_choose_a_part_and_share_the_vocabulary(piano_folder: Path) -> None:
    names = [path.name for path in piano_folder.glob("*.flac")]
    split = split_files(names, piano_folder / "split.json")
    parts = [
        AudioFolder(piano_folder, 16000, 32000, labels=NOTES, files=files, check="header")
        for files in split
    ]
    assert [len(part) for part in parts] == [210, 16]
    assert parts[0].label_table == parts[1].label_table
    assert parts[0].label_table.num_classes == (62, 4)
    clip = parts[1][0]
    assert parts[1].label_table.decode(clip.labels) == {"note": "23", "velocity": "pp"}
    assert torch.equal(parts[1].file_labels["023_B0_pp.flac"], clip.labels)
    assert parts[0].report.unlabelled == 0
    with pytest.raises(FileNotFoundError, match=r"1 file \(nothing\.flac\)"):
        AudioFolder(piano_folder, 16000, 32000, files=["nothing.flac"])


def test_a_known_table_is_kept(tmp_path: Path, write_sound: WriteSound) -> None:
    write_sound("060_a_ff.wav")
    write_sound("other.wav")
    table = LabelTable.from_dict({"velocity": ["pp", "ff"], "note": [59, 60]})
    dataset = AudioFolder(tmp_path, 16000, 8000, labels=NOTES, label_table=table)
    assert [clip.labels.tolist() for clip in dataset] == [[1, 1], [-1, -1]]
    assert dataset.report.unlabelled == 1
    wrong = LabelTable.from_dict({"note": [59]})
    with pytest.raises(ValueError, match="note '60' is not among"):
        AudioFolder(tmp_path, 16000, 8000, labels=NOTES, label_table=wrong)


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_copies_give_the_same_clips(
    tmp_path: Path, write_sound: WriteSound, copier: Callable[[AudioFolder], AudioFolder]
) -> None:
    write_sound("a.flac", 44100)
    dataset = AudioFolder(tmp_path, 16000, 1000)
    copied = copier(dataset)
    assert torch.equal(copied[2, 3].audio, dataset[2, 3].audio)
    assert len(pickle.dumps(dataset)) < 5000  # the sounds themselves stay behind


@pytest.mark.parametrize(
    "options",
    [{"length": 0}, {"hop": 0}, {"crop": "end"}, {"short": "x"}, {"fade": -1}, {"channels": 0}],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        AudioFolder(tmp_path, **{"sample_rate": 16000, "length": 10, **options})


def test_a_cache_that_cannot_be_made_is_no_fault_of_the_files(
    tmp_path: Path, write_sound: WriteSound
) -> None:
    write_sound("set/a.wav", 44100)
    write_sound("set/b.wav", 16000)
    (tmp_path / "taken").write_text("a file, not a folder")
    for bad, place in (("refuse", "taken"), ("skip", "taken/deeper")):
        options = {"bad": bad, "cache": tmp_path / place}
        with pytest.raises(OSError, match=rf"cache folder .*{place} .*set data\.cache") as caught:
            AudioFolder(tmp_path / "set", 16000, 2000, **options)
        assert "a.wav" not in str(caught.value) and "\n" not in str(caught.value)
    nowhere = Path("/proc/no-such-folder")  # making it gives FileNotFoundError, as a lost file does
    if nowhere.parent.is_dir():
        with pytest.raises(OSError, match=r"set data\.cache"):
            AudioFolder(tmp_path / "set", 16000, 2000, bad="skip", cache=nowhere)


def test_labels_without_any_value_name_the_list_and_the_column(
    tmp_path: Path, write_sound: WriteSound
) -> None:
    write_sound("audio/a.wav")
    (tmp_path / "labels.csv").write_text("file,mood,note\naudio/a.wav,sad,\n")
    with pytest.raises(ValueError, match=r"labels\.csv: the label column note is empty") as caught:
        AudioFolder(tmp_path, 16000, 2000, labels="labels.csv")
    assert "data.label_columns" in str(caught.value) and "\n" not in str(caught.value)
    chosen = AudioFolder(tmp_path, 16000, 2000, labels="labels.csv", label_columns=["mood"])
    assert chosen.label_table.to_dict() == {"mood": ["sad"]}
